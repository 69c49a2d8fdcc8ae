# SPDX-License-Identifier: BSD-3-Clause
"""The table in the terminal."""
from . import details
from .sizes import MIB
from .targets import figure_text, means, verdicts

HEAD = ("cell", "k touches/s", "ratio (low - high)", "p99 us", "ratio", "CPU us/touch", "ratio",
        "memory MiB (peak)", "")
WIDTHS = (37, 17, 19, 17, 7, 15, 6, 30, 0)


def versus(rival, library, form):
    """rival : library."""
    return f"{rival:{form}} : {library:{form}}"


def time_text(microseconds):
    """Histograms are exact to an eighth."""
    return f"{microseconds:.0f}" if microseconds >= 10 else f"{microseconds:.2g}"


def ratio_text(ratio):
    """Two decimals where they say something."""
    return f"{ratio:.2f}" if ratio < 100 else f"{ratio:.0f}"


def memory_text(side):
    """Mean and peak."""
    if not side["memory"]:
        return "?"
    return f"{side['memory']['sum_mean'] / MIB:.0f} ({side['memory']['sum_peak'] / MIB:.0f})"


def marks(row):
    """What to know about a row."""
    notes = [f"! {side} memory {row[side]['off']:+.1%}" for side in row["unequal"]]
    notes += [f"{row['lost']} pairs lost"] if row["lost"] else []
    notes += [f"WRONG {side}" for side in ("rival", "library") if row[side]["wrong"]]
    return ", ".join(notes)


def columns(row):
    """The texts of a row with figures."""
    rival, library, ratios = row["rival"], row["library"], row["ratios"]
    through = ratios["throughput"]
    return (
        row["cell"].name,
        versus(rival["touches_per_second"] / 1e3, library["touches_per_second"] / 1e3, ".1f"),
        f"{through['median']:.2f} ({through['low']:.2f} - {through['high']:.2f})",
        f"{time_text(rival['p99'])} : {time_text(library['p99'])}",
        ratio_text(ratios["p99"]["median"]),
        versus(rival["cpu_per_touch"], library["cpu_per_touch"], ".2f"),
        f"{ratios['cpu']['median']:.2f}",
        f"{memory_text(rival)} : {memory_text(library)}",
        marks(row))


def aligned(texts, widths=WIDTHS):
    """In columns."""
    return " ".join(text.ljust(width) for text, width in zip(texts, widths)).rstrip()


def row_text(row):
    """One line."""
    if row["state"]:
        return f"{row['cell'].name.ljust(WIDTHS[0])} {row['state']}"
    return aligned(columns(row))


def mean_lines(rows):
    """Geometric means by rival."""
    for rival, mean in means(rows).items():
        yield (f"{rival}: throughput {mean['throughput']:.2f}, p99 {mean['p99']:.2f}, CPU per "
               f"touch {mean['cpu']:.2f} (whole machine {figure_text(mean['machine'])})")


def verdict_lines(rows):
    """Target by target."""
    for verdict in verdicts(rows):
        where = f" ({verdict.where})" if verdict.where else ""
        sign = "at most" if verdict.at_most else "at least"
        yield f"{verdict.target}, {sign} {verdict.wanted:g}: {verdict.text()}{where}"


def head_text():
    """Column heads; each pair of figures is rival : library."""
    return aligned(HEAD)


def closing_text(rows):
    """Details, means and verdicts."""
    lines = ["", aligned(details.HEAD, details.WIDTHS)]
    lines += [aligned(details.detail_row(row), details.WIDTHS) for row in rows if not row["state"]]
    lines += ["", "Geometric means, library against rival (throughput and p99: more is better):"]
    lines += mean_lines(rows)
    lines += ["", "Targets:"] + list(verdict_lines(rows))
    return "\n".join(lines)
