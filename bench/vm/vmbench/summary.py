# SPDX-License-Identifier: BSD-3-Clause
"""Rows of the table, and what became of the targets."""
import math
import statistics

from .setting import MATCHED, PATTERNS

RATIO, LEAST, BOOT, RESIDENT = 1.3, 1.0, 1.05, 0.98
OFF = 0.03  # of the limit: more than that is marked


def ratios(pairs, value):
    """Library ÷ rival of each pair in which both went well."""
    return [value(pair["library"]) / value(pair["rival"]) for pair in pairs
            if all(pair[side]["outcome"] == "ok" for side in ("rival", "library"))]


def median_of(pairs, side, value):
    """Of one side's runs that went well, NaN where there is none."""
    found = [value(pair[side]) for pair in pairs if pair[side]["outcome"] == "ok"]
    return statistics.median(found) if found else math.nan


def row_of(name, pairs, value):
    """A line of figures. `value`: of one run."""
    found = ratios(pairs, value)
    return {"name": name, "rival": median_of(pairs, "rival", value),
            "library": median_of(pairs, "library", value), "pairs": len(found),
            "ratio": statistics.median(found) if found else math.nan,
            "low": min(found, default=math.nan), "high": max(found, default=math.nan),
            "failed": {side: sum(pair[side]["outcome"] != "ok" for pair in pairs)
                       for side in ("rival", "library")}}


def pressed_rows(data):
    """A row for each rival, factor and pattern."""
    for cell in data["cells"]:
        for pattern in PATTERNS:
            name = f"{cell['rival']}/{cell['factor']}x/{pattern}"
            row = row_of(name, cell["pairs"], lambda run, p=pattern: run["rates"][p])
            yield {**row, "memory": {
                side: median_of(cell["pairs"], side, lambda run, p=pattern:
                                run["memory"][p]["sum_mean"]) for side in ("rival", "library")}}


def rival_of(row):
    """The first part of its name."""
    return row["name"].split("/")[0]


def resident_rows(data):
    """Boot time, then a row for each pattern, with memory for everything."""
    yield row_of("boot, s", data["resident"], lambda run: run["boot"])
    for pattern in PATTERNS:
        yield row_of(pattern, data["resident"], lambda run, p=pattern: run["rates"][p])


def mean(rows):
    """Geometric, of their ratios; NaN where one is missing."""
    found = [row["ratio"] for row in rows]
    return math.exp(sum(map(math.log, found)) / len(found)) if found else math.nan


def target(what, figure, bound, at_least=True, where=""):
    """One line of the verdict."""
    reached = figure >= bound if at_least else figure <= bound
    return {"what": f"{what} {'≥' if at_least else '≤'} {bound:g}", "figure": figure,
            "reached": bool(reached), "where": where}


def targets(data):
    """The verdict."""
    found = []
    pressed = [row for row in pressed_rows(data) if rival_of(row) in MATCHED]
    if pressed:
        worst = min(pressed, key=lambda row: row["ratio"])
        below = sum(row["ratio"] < LEAST for row in pressed)
        found += [target("library ÷ kernel swap on the same, geometric mean", mean(pressed), RATIO),
                  target("no cell below", worst["ratio"], LEAST,
                         where=f"{worst['name']}; {below} of {len(pressed)} below")]
    if data["resident"]:
        boot, *patterns = resident_rows(data)
        worst = min(patterns, key=lambda row: row["ratio"])
        found += [target("boot with ample memory ÷ plain QEMU's", boot["ratio"], BOOT, False),
                  target("throughput with everything resident ÷ plain QEMU's", mean(patterns),
                         RESIDENT, where=f"worst: {worst['name']} {worst['ratio']:.3f}")]
    return found
