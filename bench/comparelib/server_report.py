# SPDX-License-Identifier: BSD-3-Clause
"""Figures of servers from their rounds, as a table."""
import statistics

from .sizes import mib

HEAD = ("| server, load | against | kops/s | ratio | p99 ms | ratio | CPU us/op | ratio | "
        "memory MiB | wrong |")
RULE = "|---|---|---|---|---|---|---|---|---|---|"


def cpu_per_operation(figures):
    """us of the server and of kernel threads meanwhile."""
    seconds = figures["cpu_server"] + figures["cpu_kernel_threads"]
    return seconds * 1e6 / figures["operations"]


def spread(values, digits=2):
    """"1.20 (1.10-1.31)"."""
    return (f"{statistics.median(values):.{digits}f} "
            f"({min(values):.{digits}f}-{max(values):.{digits}f})")


def medians(runs, of):
    """Of the rival and of the library: "a : b" needs both."""
    return [statistics.median(of(run[side]) for run in runs) for side in ("rival", "library")]


def row(name, rival, phase, pairs):
    """One line of Markdown; figures are rival : library."""
    runs = [{side: pair[side]["phases"][phase] for side in ("rival", "library")} for pair in pairs]
    speed = medians(runs, lambda figures: figures["per_second"] / 1e3)
    tail = medians(runs, lambda figures: figures["p99_us"] / 1e3)
    cost = medians(runs, cpu_per_operation)
    memory = medians(runs, lambda figures: figures["memory"]["sum_mean"])
    wrong = sum(run[side]["wrong"] + run[side]["missing"] for run in runs for side in run)
    ratios = {
        "speed": [r["library"]["per_second"] / r["rival"]["per_second"] for r in runs],
        "tail": [r["rival"]["p99_us"] / max(r["library"]["p99_us"], 1e-3) for r in runs],
        "cost": [cpu_per_operation(r["library"]) / cpu_per_operation(r["rival"]) for r in runs],
    }
    return (f"| {name}, {phase} | {rival} | {speed[0]:.1f} : {speed[1]:.1f} | "
            f"{spread(ratios['speed'])} | {tail[0]:.2f} : {tail[1]:.2f} | {spread(ratios['tail'])} "
            f"| {cost[0]:.0f} : {cost[1]:.0f} | {spread(ratios['cost'])} | "
            f"{mib(memory[0])} : {mib(memory[1])} | {wrong} |")


def rows_of(result):
    """All lines for one server and rival."""
    pairs = result["pairs"]
    if not pairs:
        return [f"| {result['server']} | {result['rival']} | {result['failures'][-1]} |" + " |" * 7]
    return [row(result["server"], result["rival"], phase, pairs)
            for phase in pairs[0]["rival"]["phases"]]


def failures_of(result):
    """What was tried again, and why."""
    if result["failures"]:
        yield ""
        yield (f"{result['server']} against {result['rival']}: {len(result['failures'])} runs "
               f"failed and were repeated ({'; '.join(sorted(set(result['failures'])))}).")


def markdown(data):
    """The part of bench/RESULTS.md."""
    setting = data["setting"]
    return [f"Limit {mib(setting['limit'])} MiB, data {mib(setting['data'])} MiB (values of 1 to "
            f"4 KiB that compress to about 30 %), 4 connections, {data['rounds']} rounds; "
            f"medians, kernel : library. `mixed`: {setting['set_percent']} % SET, the rest GET, of "
            "uniformly random keys, every value checked, by `compare-keys`; `redis-benchmark`: "
            "GET of random keys. Ratios are such that more is better for the library, but for the "
            "CPU's. CPU: the server and kernel threads. memory: mean, without what the idle server "
            "takes; on the kernel's side with what zram holds.", "", HEAD, RULE,
            *[line for result in data["results"] for line in rows_of(result)],
            *[line for result in data["results"] for line in failures_of(result)]]
