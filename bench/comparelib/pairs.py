# SPDX-License-Identifier: BSD-3-Clause
"""One pair of runs of a cell: the rival, then the library."""
import contextlib

from .ballast import Ballast
from .cgroup import can_limit_zswap, memory_group
from .controller import PERIOD, MemoryWatch
from .load import Load, LoadFailed, run_phases
from .sides import kernel_command, kernel_swap, library_command, limit_of, pool_of

TRIES = 2


def phase_names(cell):
    """The phases of compare-load for a cell."""
    return ("populate",) if cell.populate else ("populate", "warmup", "run")


def timeline(watch, begin):
    """[seconds, bytes in the group, bytes held outside] about ten times a second."""
    return [[round(sample.at - begin, 2), sample.usage - watch.base, sample.held]
            for sample in watch.samples[::max(1, round(0.1 / PERIOD))]]


def outcome(phases, watch):
    """What is kept of a run."""
    begin = watch.samples[0].at if watch.samples else 0
    return {"outcome": "ok", "phases": phases, "base": watch.base, "program_rss": watch.program_rss,
            "timeline": timeline(watch, begin)}


def watched(cell, watch, command, base=None):
    """Runs the program in the group."""
    with watch, Load(watch.group, command) as load:
        done = outcome(run_phases(load, watch, phase_names(cell), base), watch)
    if watch.error:
        raise LoadFailed(str(watch.error), watch.group.oom_kills() > 0)
    return done


def beside_swap(cell, setting, limit, group, swap):
    """Runs the program on memory that is swapped."""
    with contextlib.ExitStack() as stack:
        ballast = None
        if swap.uncharged:
            program = f"{setting.programs}/compare-ballast"
            ballast = stack.enter_context(Ballast(group, program))
        beside = group.usage()
        watch = MemoryWatch(group, swap.held, limit, ballast)
        done = watched(cell, watch, kernel_command(cell, setting, limit))
        return {**done, "program_base": done["base"] - beside}


def tried(run):
    """The run's outcome; tried again once if it fails."""
    for left in range(TRIES - 1, -1, -1):
        try:
            return {**run(), "tries": TRIES - left}
        except (LoadFailed, OSError) as failure:
            killed = getattr(failure, "killed", False)
            if left == 0:
                return {"outcome": "oom" if killed else "failed", "why": str(failure)}
    return None


def kernel_run(cell, setting, journal):
    """The rival's run."""
    can_limit = can_limit_zswap()
    limit = limit_of(cell, setting, can_limit_zswap=can_limit)

    def run():
        # The group inside of the swap: what still runs is killed before swap is switched off.
        with kernel_swap(cell, setting, limit, journal) as swap, memory_group(journal) as group:
            if cell.rival == "zswap":
                group.limit_zswap(pool_of(limit, can_limit_zswap=can_limit))
            done = beside_swap(cell, setting, limit, group, swap)
            return {**done, "limit": limit, "note": swap.note}
    return tried(run)


def library_run(cell, setting, journal, base):
    """The library's run, in a group without a limit: the same meter."""
    can_limit = can_limit_zswap()
    limit = limit_of(cell, setting, can_limit_zswap=can_limit)
    command = library_command(cell, setting, limit, pool_of(limit, can_limit_zswap=can_limit))

    def run():
        with memory_group(journal) as group:
            done = watched(cell, MemoryWatch(group, lambda _group: 0), command, base)
            return {**done, "limit": limit, "note": " ".join(command[command.index("--tier"):])}
    return tried(run)


def run_pair(cell, setting, journal):
    """{"rival": ..., "library": ...}."""
    rival = kernel_run(cell, setting, journal)
    base = rival.get("program_base", 0)
    return {"rival": rival, "library": library_run(cell, setting, journal, base)}
