#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Plots of a result file: plots.py RESULT DIRECTORY writes SVG and PNG.

A program of its own: it needs matplotlib, which may be there for another Python only.
"""
import math
import os
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot, ticker  # pylint: disable=wrong-import-position

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from comparelib.cells import PATTERNS, RIVALS, USUAL_RATIO  # pylint: disable=wrong-import-position
from comparelib.sizes import MIB  # pylint: disable=wrong-import-position
from comparelib.store import Store  # pylint: disable=wrong-import-position
from comparelib.targets import MEAN_TARGET  # pylint: disable=wrong-import-position

KERNEL, LIBRARY, HELD, LINE = "#d1603d", "#2a6f97", "#eebfa9", "#555555"
RIVAL_NAMES = {"zram": "zram (lz4)", "disk": "swap file", "zswap": "zswap + swap file"}
MOST_NINES = 5


def style():
    """One look for all."""
    pyplot.rcParams.update({
        "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
        "axes.titlesize": 10, "axes.titleweight": "bold", "svg.hashsalt": "uffdmm",
        "svg.fonttype": "none",
        "figure.dpi": 110, "legend.frameon": False})


def save(figure, directory, name):
    """Both formats; without dates, so that equal plots are equal files."""
    figure.savefig(f"{directory}/{name}.svg", metadata={"Date": None}, bbox_inches="tight")
    figure.savefig(f"{directory}/{name}.png", bbox_inches="tight")
    pyplot.close(figure)


def ratio_bars(axes, rows, rival):
    """Median as a bar from 1, all rounds as a line."""
    for place, row in enumerate(rows):
        ratio = row["ratios"]["throughput"]
        color = LIBRARY if ratio["median"] >= 1 else KERNEL
        axes.barh(place, ratio["median"] - 1, left=1, height=0.62, color=color)
        axes.plot([ratio["low"], ratio["high"]], [place, place], color="black", linewidth=1)
        axes.annotate(f" {ratio['median']:.2f}", (max(ratio["high"], 1), place), va="center",
                      fontsize=8)
    axes.set_yticks(range(len(rows)), [row["cell"].workload for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.axvline(MEAN_TARGET[rival], color=LINE, linewidth=0.8, linestyle=":")
    axes.set_title(f"against {RIVAL_NAMES[rival]}", loc="left")


def plot_ratios(rows, directory):
    """A panel per rival, on one scale."""
    groups = [(rival, [row for row in rows if row["cell"].rival == rival]) for rival in RIVALS]
    groups = [(rival, some) for rival, some in groups if some]
    heights = [len(some) + 1 for _, some in groups]
    figure, panels = pyplot.subplots(len(groups), 1, sharex=True, squeeze=False,
                                     figsize=(8, 0.26 * sum(heights) + 1.2),
                                     gridspec_kw={"height_ratios": heights})
    for (rival, some), axes in zip(groups, panels[:, 0]):
        ratio_bars(axes, some, rival)
    ratios = [row["ratios"]["throughput"] for row in rows]
    bottom = panels[-1, 0]
    bottom.set_xscale("log")
    bottom.set_xlim(min(0.5, 0.8 * min(r["low"] for r in ratios)),
                    max(4, 1.6 * max(r["high"] for r in ratios)))
    bottom.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    bottom.xaxis.set_major_formatter(ticker.FuncFormatter(lambda x, _: f"{x:g}"))
    bottom.xaxis.set_minor_formatter(ticker.NullFormatter())
    bottom.set_xlabel("touches per second at equal memory: library ÷ kernel swap\n"
                      "line: lowest to highest round; dotted: target for the geometric mean")
    figure.tight_layout()
    save(figure, directory, "throughput")


def is_usual(cell):
    """Whether it is a pattern's cell that all rivals have."""
    return (cell.pattern in PATTERNS and cell.factor == 2 and cell.threads == 1
            and cell.writes == 0 and cell.same_filled == 0
            and cell.compressibility == USUAL_RATIO[cell.rival])


def nines(points):
    """A distribution with its shares as -log10(1 - share): 99 % is 2."""
    times = [time for time, _ in points]
    shares = [min(MOST_NINES, -math.log10(max(1 - share, 10 ** -MOST_NINES)))
              for _, share in points]
    return times, shares


def draw_distribution(axes, pairs, side, color, label):
    """The round in the middle."""
    pair = sorted(pairs, key=lambda p: p[side]["phases"]["run"]["touches_per_second"])
    points = pair[len(pair) // 2][side]["phases"]["run"]["cdf"]
    axes.step(*nines(points), where="post", color=color, label=label, linewidth=1.4)


def plot_distributions(measured, directory):
    """Rivals down, patterns across."""
    cells = [cell for cell in measured if is_usual(cell)]
    rivals = [rival for rival in RIVALS if any(cell.rival == rival for cell in cells)]
    patterns = [p for p in PATTERNS if any(cell.pattern == p for cell in cells)]
    if not cells:
        return
    figure, panels = pyplot.subplots(
        len(rivals), len(patterns), sharex=True, sharey=True, squeeze=False,
        figsize=(2.1 * len(patterns) + 0.8, 2.1 * len(rivals) + 0.6))
    for cell in cells:
        axes = panels[rivals.index(cell.rival), patterns.index(cell.pattern)]
        draw_distribution(axes, measured[cell], "rival", KERNEL, "kernel swap")
        draw_distribution(axes, measured[cell], "library", LIBRARY, "library")
    for axes, pattern in zip(panels[0], patterns):
        axes.set_title(pattern)
    for axes, rival in zip(panels[:, 0], rivals):
        axes.set_ylabel(f"{RIVAL_NAMES[rival]}\nshare of touches")
    corner = panels[0, 0]
    corner.set_xscale("log")
    corner.set_yticks(range(MOST_NINES + 1),
                      ["0", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"])
    corner.set_xlim(0.05, None)
    corner.set_xticks([0.1, 1, 10, 100, 1e3, 1e4], [".1", "1", "10", "100", "1ms", "10ms"])
    corner.xaxis.set_minor_locator(ticker.NullLocator())
    for axes in panels.flat:
        axes.tick_params(labelsize=8)
        axes.grid(color="#dddddd", linewidth=0.6)
    figure.supxlabel("a touch takes at most so long (µs unless said)", fontsize=9)
    figure.legend(*corner.get_legend_handles_labels(), loc="upper right", ncol=2)
    figure.tight_layout(rect=(0, 0, 1, 0.96))
    save(figure, directory, "latency")


def draw_memory(axes, run, title):
    """What is in the group, and on top of it what the kernel holds outside."""
    times = [at for at, _, _ in run["timeline"]]
    usage = [max(0, used) / MIB for _, used, _ in run["timeline"]]
    both = [used + held / MIB for used, (_, _, held) in zip(usage, run["timeline"])]
    kernel = any(held for _, _, held in run["timeline"])
    axes.fill_between(times, usage, color=LIBRARY, alpha=0.75, linewidth=0,
                      label="resident (and the library's pool)")
    if kernel:
        axes.fill_between(times, usage, both, color=HELD, linewidth=0, label="held by zram, zswap")
    axes.axhline(run["limit"] / MIB, color="black", linewidth=0.8, linestyle="--", label="limit")
    axes.set_title(title, loc="left")
    axes.set_ylim(0, 1.15 * run["limit"] / MIB)


def plot_memory(measured, directory):
    """Uniform against each rival: what both sides use from start to end."""
    cells = [cell for cell in measured if is_usual(cell) and cell.pattern == "uniform"]
    if not cells:
        return
    figure, panels = pyplot.subplots(len(cells), 2, squeeze=False, sharey="row", sharex="row",
                                     figsize=(8, 1.9 * len(cells) + 0.6))
    for cell, (left, right) in zip(cells, panels):
        pair = measured[cell][-1]
        draw_memory(left, pair["rival"], f"{RIVAL_NAMES[cell.rival]}, uniform")
        draw_memory(right, pair["library"], "library, matching tiers")
        left.set_ylabel("MiB")
    for axes in panels[-1]:
        axes.set_xlabel("seconds since the start")
    handles = {label: handle for axes in panels.flat
               for handle, label in zip(*axes.get_legend_handles_labels())}
    figure.legend(handles.values(), handles.keys(), loc="upper center", ncol=3)
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    save(figure, directory, "memory")


def good_pairs(store):
    """{cell: pairs without failures}."""
    pairs = {cell: [pair for pair in store.pairs(cell)
                    if all(pair[side]["outcome"] == "ok" for side in ("rival", "library"))]
             for cell in store.cells()}
    return {cell: some for cell, some in pairs.items() if some}


def main():
    """All plots."""
    store, directory = Store.load(sys.argv[1]), sys.argv[2]
    os.makedirs(directory, exist_ok=True)
    style()
    rows = [row for row in store.rows() if not row["state"]]
    if not rows:
        sys.exit("plots: nothing was measured")
    plot_ratios(rows, directory)
    measured = good_pairs(store)
    plot_distributions(measured, directory)
    plot_memory(measured, directory)


if __name__ == "__main__":
    main()
