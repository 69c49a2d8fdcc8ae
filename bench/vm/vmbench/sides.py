# SPDX-License-Identifier: BSD-3-Clause
"""A guest on kernel swap, one on the library, and one with all the memory it wants."""
import contextlib
import dataclasses

from comparelib import swap
from comparelib.ballast import Ballast
from comparelib.cgroup import memory_group
from comparelib.controller import MemoryWatch
from uffdmm_vm import MachineFailed
from uffdmm_vm.own_memory import OwnMemory

from .life import lives, started, verify
from .setting import AMPLE

TRIES = 3


def tried(run):
    """The run's outcome; tried again if it fails, as kernel swap does when memory is short."""
    for left in range(TRIES - 1, -1, -1):
        try:
            return {**dataclasses.asdict(run()), "outcome": "ok", "tries": TRIES - left}
        except (MachineFailed, OSError) as failure:
            if left == 0:
                return {"outcome": "failed", "why": str(failure)[:2000]}
    return None


def swap_of(rival, setting, journal):
    """The rival's, as a context manager."""
    if rival == "zram":
        return swap.zram_swap(journal, setting.swap_size())
    return swap.file_swap(journal, setting.swap_size(), setting.directory)


def own_usage(setting, image, journal):
    """Bytes that a group is charged for a plain QEMU, without guest RAM, when it has done all that
    is measured. Both sides have so much on top of the limit."""
    with memory_group(journal) as group, \
            started(setting, image, setting.plain(), group.enter_command) as (vm, boot), \
            OwnMemory(vm.process.pid, setting.memory, group.usage) as own:
        lives(vm, boot, setting, setting.memory // 2)
    return own.last


def kernel_run(rival, region, setting, image, journal, base):
    """In a group with the limit and what QEMU takes, zram included."""
    def run():
        with contextlib.ExitStack() as stack:
            area = stack.enter_context(swap_of(rival, setting, journal))
            group = stack.enter_context(memory_group(journal))
            ballast = None
            if area.uncharged:
                program = f"{setting.build}/bench/compare-ballast"
                ballast = stack.enter_context(Ballast(group, program))
            beside = group.usage()
            watch = MemoryWatch(group, area.held, setting.limit + base + beside, ballast)
            stack.enter_context(watch)
            watch.base = base + beside
            vm, boot = stack.enter_context(
                started(setting, image, setting.plain(), group.enter_command))
            life = lives(vm, boot, setting, region, rival=rival, watch=watch)
            if watch.error:
                raise MachineFailed(str(watch.error))
            return life
    return tried(run)


def library_run(rival, region, setting, image, journal, base):
    """In a group without a limit: the same meter."""
    def run():
        way = setting.library(setting.limit, setting.tiers(rival))
        with memory_group(journal) as group, MemoryWatch(group, lambda _group: 0) as watch, \
                started(setting, image, way, group.enter_command) as (vm, boot):
            watch.base = base
            life = lives(vm, boot, setting, region, rival=rival, watch=watch)
            verify(vm, setting)
            return life
    return tried(run)


def resident_run(side, setting, image):
    """With memory for everything."""
    ample = AMPLE * setting.memory
    way = setting.plain() if side == "rival" else setting.library(ample, [f"ram:{ample >> 22}M"])

    def run():
        with started(setting, image, way) as (vm, boot):
            return lives(vm, boot, setting, setting.memory // 2)
    return tried(run)
