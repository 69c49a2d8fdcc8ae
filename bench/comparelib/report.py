# SPDX-License-Identifier: BSD-3-Clause
"""The section of bench/RESULTS.md."""
from . import details
from .cells import RIVALS
from .controller import PERIOD
from .machine import describe_text
from .sizes import MIB
from .table import marks, memory_text, ratio_text, time_text
from .targets import figure_text, means, verdicts

NAMES = {"zram": "zram (lz4)", "disk": "a swap file", "zswap": "zswap in front of a swap file"}
INTRODUCTION = """\
Made by `bench/compare` (as root; `--help` says what it needs). One program touches one region, in
turns on memory that the kernel swaps and on a region of the library with the matching tiers:
compressed RAM, a file, or both. **Equal memory:** the rival's control group may use the limit less
what zram or zswap hold (locked ballast in the group takes their place, adjusted {rate} times a
second); the library counts its compressed pool and metadata in its limit, and its whole process is
metered by a control group as well. What the program takes without the region is left out on both
sides.

**How to read it.** Figures are rival : library, medians of {rounds} rounds; ratios are medians of
pairs with the lowest and highest of them. Throughput and p99 ratios: more is better for the
library; CPU ratio: less. CPU per touch is user and system time of all threads of the program, and
of kernel threads meanwhile; that of the machine contains what moving the ballast costs. Memory is
the mean (peak) while it counts, in MiB; a mean more than 3 % off the limit is marked. A cell is
*pattern / region ÷ limit / compressibility / share of writes / threads*. The kernel's
settings are its defaults (page-cluster {page_cluster})."""


def table_of(head, rows):
    """Markdown."""
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def verdict_rows(rows):
    """Targets."""
    for verdict in verdicts(rows):
        sign = "≤" if verdict.at_most else "≥"
        yield (f"{verdict.target} {sign} {verdict.wanted:g}", verdict.text(), verdict.where)


def mean_rows(rows):
    """Geometric means."""
    for rival, mean in means(rows).items():
        yield (NAMES[rival], f"{mean['throughput']:.2f}", f"{mean['p99']:.2f}",
               f"{mean['cpu']:.2f}", figure_text(mean["machine"]))


def cell_row(row):
    """One cell with figures."""
    rival, library, ratios = row["rival"], row["library"], row["ratios"]
    through = ratios["throughput"]
    return (
        row["cell"].workload,
        f"{rival['touches_per_second'] / 1e3:.1f} : {library['touches_per_second'] / 1e3:.1f}",
        f"**{through['median']:.2f}** ({through['low']:.2f} - {through['high']:.2f})",
        f"{time_text(rival['p99'])} : {time_text(library['p99'])}",
        ratio_text(ratios["p99"]["median"]),
        f"{rival['cpu_per_touch']:.2f} : {library['cpu_per_touch']:.2f}",
        f"{ratios['cpu']['median']:.2f}",
        f"{memory_text(rival)} : {memory_text(library)}", marks(row))


CELL_HEAD = ("cell", "k touches/s", "ratio", "p99, µs", "ratio", "CPU, µs/touch", "ratio",
             "memory, MiB", "")


def rival_section(rows, rival, notes):
    """The cells against one rival."""
    ours = [row for row in rows if row["cell"].rival == rival]
    measured = [row for row in ours if not row["state"]]
    if not ours:
        return
    yield f"\n### Against {NAMES[rival]}\n"
    if measured:
        yield (f"{notes.get(rival, '')}. Limit {measured[0]['limit'] / MIB:.0f} MiB on both "
               "sides.\n")
        yield from table_of(CELL_HEAD, map(cell_row, measured))
    without = [f"`{row['cell'].workload}`: {row['state']}" for row in ours if row["state"]]
    if without:
        yield "\nWithout figures: " + "; ".join(without) + "."


def detail_section(rows):
    """Meters that the tables above leave out."""
    measured = [row for row in rows if not row["state"]]
    if measured:
        yield "\n### CPU of the machine, peaks of memory\n"
        yield from table_of(details.HEAD, map(details.detail_row, measured))


def notes_of(store):
    """{rival: what was set up}."""
    notes = {}
    for cell in store.cells():
        for pair in store.pairs(cell):
            if pair["rival"]["outcome"] == "ok":
                notes[cell.rival] = pair["rival"]["note"]
    return notes


def report(store, plots=None):
    """Markdown, from results. `plots`: where they are, as a link from the document."""
    rows, facts = store.rows(), store.data["machine"]
    rounds = max((row["rounds"] for row in rows), default=0)
    yield "## Against kernel swap, at equal memory (`bench/compare`)\n"
    yield INTRODUCTION.format(rounds=rounds, rate=round(1 / PERIOD),
                              page_cluster=facts["page_cluster"])
    yield f"\n**Machine.** {describe_text(facts)}.\n"
    if plots:
        yield f"![throughput ratios]({plots}/throughput.svg)\n"
    yield from table_of(("target", "", "where"), verdict_rows(rows))
    yield ""
    yield from table_of(("geometric mean against", "throughput", "p99", "CPU per touch",
                         "CPU of the machine"), mean_rows(rows))
    notes = notes_of(store)
    for rival in RIVALS:
        yield from rival_section(rows, rival, notes)
    yield from detail_section(rows)
    if plots:
        yield (f"\n![latencies]({plots}/latency.svg)\n\n![memory over time]({plots}/memory.svg)")
