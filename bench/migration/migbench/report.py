# SPDX-License-Identifier: BSD-3-Clause
"""A table of medians, and what became of the targets."""
import statistics

from uffdmm_vm.sizes import mib, short

PARTS = ("moved", "cancelled")
NO_SWAP_INS = 262  # a thousandth of the guest's pages: noise of the guest's own
BYTES = ("sent",)
# (side of the library, its tier, most of kernel swap's total time)
OWN = (("library", "private tier", 0.5), ("library, shared", "shared tier", 0.1))


def ratio(above, below):
    """None where there is no sense in it."""
    return above / below if above is not None and below else None


def with_ratios(part, figures):
    """And what is compared within one run."""
    pace = ratio(figures["pace during"], figures["pace before"])
    found = {**figures, "pace during ÷ before": pace}
    if part == "cancelled":
        swap_ins = ratio(figures["swap-ins after"], figures["swap-ins before"])
        paces = ratio(figures["pace after"], figures["pace before"])
        found["swap-ins after ÷ before"] = swap_ins
        # A guest that is faster for a while touches, and faults, more in the same time.
        found["swap-ins per touch after ÷ before"] = ratio(swap_ins, paces)
    return found


def medians(runs):
    """{(part, name): median} of every figure that all runs have."""
    found = {}
    for part in PARTS:
        figures = [with_ratios(part, run[part]) for run in runs]
        for name in figures[0] if figures else ():
            values = [each[name] for each in figures]
            if None not in values:
                found[part, name] = statistics.median(values)
    return found


def cell(name, value):
    """A figure as text."""
    if value is None:
        return "–"
    if name in BYTES:
        return f"{mib(value)} MiB"
    return short(value) if abs(value) >= 100 else f"{value:.2f}"


def table(results):
    """Lines of Markdown."""
    sides = [side for side in results if results[side]]
    columns = {side: medians(results[side]) for side in sides}
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    lines = [f"| median of {len(results[sides[0]])} | {' | '.join(sides)} |",
             "|---" * (len(sides) + 1) + "|"]
    for part, name in names:
        cells = " | ".join(cell(name, columns[side].get((part, name))) for side in sides)
        lines.append(f"| {part}: {name} | {cells} |")
    for place, where in enumerate(("source", "destination")):
        cells = " | ".join(mib(max(run["peaks"][place] for run in results[side])) + " MiB"
                           for side in sides)
        lines.append(f"| most memory, {where} | {cells} |")
    killed = " | ".join(str(sum(run["killed"] for run in results[side])) for side in sides)
    return [*lines, f"| runs killed for lack of memory | {killed} |"]


def targets(results):
    """(what, figure, a function that tells whether it will do, the bound as text)."""
    for side, tier, most in OWN:
        if results.get(side):
            rival = results.get("kernel swap")
            yield from targets_of(medians(results[side]), tier, most, medians(rival or []))


def targets_of(own, tier, most, rival):
    """The same of one side of the library; `most`: of kernel swap's total time."""
    total = ("moved", "total s")
    yield (f"{tier}: total time, of kernel swap's", ratio(own[total], rival.get(total)),
           lambda value: value <= most, f"≤ {most}")
    yield (f"{tier}: swap-ins on the source by the migration",
           own["moved", "swap-ins by migration"], lambda value: value <= NO_SWAP_INS, "0")
    for part, what in (("moved", "migration"), ("cancelled", "slow migration")):
        yield (f"{tier}: guest's pace during the {what}, of before",
               own.get((part, "pace during ÷ before")), lambda value: value >= 0.9, "≥ 0.9")
    for what in ("swap-ins", "swap-ins per touch"):
        yield (f"{tier}: {what} after a cancelled migration, of before",
               own.get(("cancelled", f"{what} after ÷ before")), lambda value: value <= 1.05,
               "≤ 1.05")


def verdict(results):
    """Lines of Markdown."""
    lines = ["| target | | |", "|---|---|---|"]
    for what, value, reached, bound in targets(results):
        if value is not None:
            word = "reached" if reached(value) else "**missed**"
            lines.append(f"| {what} {bound} | {word} | {value:.2f} |")
    return lines
