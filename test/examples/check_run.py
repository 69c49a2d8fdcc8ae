#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""check_run.py PROGRAM ARGUMENT...: runs overcommit with --json and checks its report, not only its
exit status: every page verified, none corrupt, the limit kept, the tiers asked for really used."""

import json
import subprocess
import sys

MIB = 1 << 20


def check(report, arguments):
    """Yields what is wrong with the report."""
    options = report["options"]
    pages = options["size"] // 4096
    if report["verified_pages"] != pages:
        yield f"{report['verified_pages']} pages verified, must be {pages}"
    for key in ("corrupt_pages", "failed_calls", "poisoned_pages", "limit_excess_bytes"):
        if report[key] != 0:
            yield f"{key} is {report[key]}"
    if report["limit_bytes"] != options["limit"]:
        yield "the limit at the end is not the one asked for"
    allowed = options["limit"] + max(options["limit"] // 50, 8 * MIB)
    if not 0 < report["peak_host_memory_bytes"] <= allowed:
        yield f"peak_host_memory_bytes is {report['peak_host_memory_bytes']}, limit {allowed}"
    if report["peak_rss_bytes"] == 0:
        yield "peak_rss_bytes is 0"
    for key in ("touches", "touches_per_second", "evictions", "cpu_seconds",
                "metadata_bytes_per_page"):
        if not report[key] > 0:
            yield f"{key} is {report[key]}"
    latency = report["touch_latency_ns"]
    if not 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["p999"]:
        yield f"percentiles are not in order: {latency}"
    faults = report["faults"]
    if faults["total"] == 0 or sum(faults["by_kind"].values()) == 0:
        yield "no fault was counted"
    for key in ("pages", "hits", "waste"):
        if key not in report["prefetch"]:
            yield f"prefetch has no {key}"
    tiers = {tier["name"]: tier for tier in report["tiers"]}
    whole_life = {tier["name"]: tier for tier in report["statistics"]["tiers"]}
    for kind in ("ram", "file"):
        if not any(a.startswith(kind + ":") for a in arguments):
            continue
        for key in ("pages", "bytes", "reads", "writes", "errors"):
            if key not in tiers[kind]:
                yield f"tier {kind} has no {key}"
        if tiers[kind]["errors"] != 0:
            yield f"tier {kind} has errors"
        if whole_life[kind]["writes"] == 0:
            yield f"tier {kind} was never written"


def main():
    """Runs the program and reports."""
    program, *arguments = sys.argv[1:]
    run = subprocess.run([program, "--json", *arguments], stdout=subprocess.PIPE, text=True,
                         timeout=300, check=False)
    problems = [] if run.returncode == 0 else [f"exit status {run.returncode}"]
    try:
        problems += check(json.loads(run.stdout), arguments)
    except (json.JSONDecodeError, KeyError) as error:
        problems.append(f"the report is no good: {error!r}")
    if problems:
        sys.exit(run.stdout + "\n" + "\n".join(problems))


main()
