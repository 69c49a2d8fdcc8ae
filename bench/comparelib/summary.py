# SPDX-License-Identifier: BSD-3-Clause
"""Figures of cells from their rounds, and what the issue's targets make of them."""
import math
import statistics

from .fits import does_not_fit

# Bytes that a side may use more or less than its limit, as a share, before a cell is marked.
TOLERANCE = 0.03


def geometric_mean(values):
    """Of positive numbers; None without any."""
    values = list(values)
    if not values:
        return None
    return math.exp(sum(map(math.log, values)) / len(values))


def spread_of(values):
    """{median, low, high} of a list."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def process_cpu(figures):
    """User and system seconds of all its threads."""
    return figures["cpu_user"] + figures["cpu_system"]


def cpu_per_touch(figures):
    """us of CPU: the process, and kernel threads meanwhile."""
    seconds = process_cpu(figures) + figures["cpu_kernel_threads"]
    return seconds * 1e6 / figures["touches"]


def machine_per_touch(figures):
    """us of CPU of the whole machine above what it did while the program waited: what else it does
    may change meanwhile, so that this is the less exact figure, and may even be negative."""
    return figures["cpu_machine"] * 1e6 / figures["touches"]


def machine_ratio(row):
    """Library / rival; None where something else on the machine drowned either."""
    rival, library = row["rival"]["machine_per_touch"], row["library"]["machine_per_touch"]
    return library / rival if rival > 0 and library > 0 else None


def rss_peak(pairs, side, phase):
    """Largest RSS while it counts, without what the program has on plain memory before it touches
    any; None if it was not sampled."""
    peaks = [max((size for _, size in pair[side]["phases"][phase].get("rss", [])), default=None)
             for pair in pairs]
    if None in peaks:
        return None
    return max(peak - pair["rival"].get("program_rss", 0) for peak, pair in zip(peaks, pairs))


def own_peak(pairs, phase):
    """The library's own count of its memory, at most, from start to end."""
    counts = [pair["library"]["phases"][phase].get("library") or {} for pair in pairs]
    return max(count.get("peak_host_memory_bytes", 0) for count in counts)


def side_figures(runs, phase, limit):
    """Medians over the rounds of one side."""
    figures = [run["phases"][phase] for run in runs]
    median = statistics.median
    memory = {name: median(f["memory"][name] for f in figures)
              for name in figures[0]["memory"]} if all(f["memory"] for f in figures) else None
    return {
        "touches_per_second": median(f["touches_per_second"] for f in figures),
        "p50": median(f["latency_us"]["p50"] for f in figures),
        "p99": median(f["latency_us"]["p99"] for f in figures),
        "p999": median(f["latency_us"]["p999"] for f in figures),
        "cpu_per_touch": median(map(cpu_per_touch, figures)),
        "machine_per_touch": median(map(machine_per_touch, figures)),
        "kernel_threads": median(f["cpu_kernel_threads"] for f in figures),
        "memory": memory,
        "off": memory["sum_mean"] / limit - 1 if memory else None,
        "wrong": sum(f["wrong"] for f in figures),
    }


def pair_ratios(pair, phase):
    """Ratios of one pair, each such that more is better for the library, but for the CPU's."""
    rival, library = (pair[side]["phases"][phase] for side in ("rival", "library"))
    return {
        "throughput": library["touches_per_second"] / rival["touches_per_second"],
        "p99": rival["latency_us"]["p99"] / max(library["latency_us"]["p99"], 1e-3),
        "cpu": cpu_per_touch(library) / max(cpu_per_touch(rival), 1e-6),
    }


def metadata_share(pair, phase):
    """Library metadata / region, all of it and the page tables alone."""
    library = pair["library"]["phases"][phase].get("library") or {}
    region = library.get("region_bytes", 0)
    if not region:
        return None
    return {"all": library["metadata_bytes"] / region,
            "page_table": library["page_table_bytes"] / region}


def unequal(side, capped):
    """Whether the memory used makes the comparison unfair. The library may use less."""
    if side["off"] is None:
        return False
    return side["off"] > TOLERANCE or (capped and side["off"] < -TOLERANCE)


def without_pair(pairs):
    """Why a cell has no figures."""
    sides = [(side, pair[side]) for pair in pairs for side in ("rival", "library")]
    bad = [f"{side}: {run['outcome']}: {run['why']}" for side, run in sides
           if run["outcome"] != "ok"]
    return bad[0] if bad else "not measured"


def summarise(cell, pairs):
    """One row of the table."""
    row = {"cell": cell, "rounds": len(pairs), "state": does_not_fit(cell)}
    good = [pair for pair in pairs
            if all(pair[side]["outcome"] == "ok" for side in ("rival", "library"))]
    row["lost"] = len(pairs) - len(good)
    if not good:
        row["state"] = row["state"] or without_pair(pairs)
        return row
    limit = good[0]["rival"]["limit"]
    ratios = [pair_ratios(pair, cell.phase) for pair in good]
    row.update(
        limit=limit,
        rival=side_figures([pair["rival"] for pair in good], cell.phase, limit),
        library=side_figures([pair["library"] for pair in good], cell.phase, limit),
        ratios={name: spread_of([r[name] for r in ratios]) for name in ratios[0]},
        metadata=metadata_share(good[-1], cell.phase))
    for side in ("rival", "library"):
        row[side]["rss_peak"] = rss_peak(good, side, cell.phase)
    row["library"]["own_peak"] = own_peak(good, cell.phase)
    # A region that fits uses what it uses.
    capped = cell.factor > 1 and not cell.populate
    row["unequal"] = [side for side in ("rival", "library") if unequal(row[side], capped)]
    return row
