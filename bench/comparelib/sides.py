# SPDX-License-Identifier: BSD-3-Clause
"""What a cell means on each side: kernel swap that is set up, tiers the library is given."""
import dataclasses

from . import swap
from .sizes import MIB, PAGE

# Room beyond the region in swap areas and file tiers, for what is kept after being read back.
SPARE = 1.25


@dataclasses.dataclass(frozen=True)
class Setting:
    """What holds for all cells. Sizes in bytes, times in seconds. `programs`: their folder."""
    programs: str
    limit: int
    directory: str = "/var/tmp"
    warmup: float = 2
    seconds: float = 3
    seed: int = 1
    library_options: tuple = ()


def whole_mib(size):
    """Rounded up."""
    return -int(-size // MIB) * MIB


def limit_of(cell, setting, cap=None, can_limit_zswap=False):
    """The limit of a cell. zswap's pool can only be limited to percents of the machine by control
    groups of version 1: the limit there is at least twice the smallest such pool."""
    if cell.rival != "zswap" or can_limit_zswap:
        return setting.limit
    cap = swap.zswap_cap() if cap is None else cap
    return max(setting.limit, -(-2 * cap // (128 * MIB)) * 128 * MIB)


def pool_of(limit, cap=None, can_limit_zswap=False):
    """Most compressed bytes in front of the disk."""
    cap = swap.zswap_cap() if cap is None else cap
    return limit // 2 if can_limit_zswap else min(cap, limit // 2) // PAGE * PAGE


def region_of(cell, limit):
    """Bytes that the workload sees."""
    return whole_mib(cell.factor * limit)


def tiers_of(cell, limit, directory, pool):
    """The library's tier chain that matches the rival."""
    file = f"file:{directory}:{whole_mib(SPARE * region_of(cell, limit)) // MIB}M"
    if cell.rival == "zram":
        return [f"ram:{limit * 9 // 10 // MIB}M"]
    if cell.rival == "disk":
        return [file]
    return [f"ram:{pool // MIB}M", file]


def seconds_of(cell, setting):
    """A working set of `phases` lasts 3 s, and shifts have to be seen."""
    return setting.seconds * 3 if cell.pattern == "phases" else setting.seconds


def workload_options(cell, setting, limit):
    """The part of the command line that is the same on both sides."""
    options = {
        "region": f"{region_of(cell, limit) // MIB}M", "threads": cell.threads,
        "pattern": cell.pattern, "write-percent": cell.writes,
        "compressibility": cell.compressibility, "same-filled-percent": cell.same_filled,
        "first-touch": cell.first_touch, "warmup": setting.warmup,
        "seconds": seconds_of(cell, setting), "seed": setting.seed,
    }
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]


def kernel_command(cell, setting, limit):
    """compare-load on plain memory."""
    return [f"{setting.programs}/compare-load", "--step", "--side", "kernel",
            *workload_options(cell, setting, limit)]


def library_command(cell, setting, limit, pool):
    """compare-load on a region of the library."""
    tiers = tiers_of(cell, limit, setting.directory, pool)
    return [f"{setting.programs}/compare-load", "--step", "--side", "library",
            "--limit", f"{limit // MIB}M", *[word for tier in tiers for word in ("--tier", tier)],
            *workload_options(cell, setting, limit), *setting.library_options]


def kernel_swap(cell, setting, limit, journal):
    """The rival's swap, as a context manager."""
    size = whole_mib(SPARE * region_of(cell, limit))
    if cell.rival == "zram":
        return swap.zram_swap(journal, size)
    if cell.rival == "disk":
        return swap.file_swap(journal, size, setting.directory)
    return swap.zswap_swap(journal, size, setting.directory)
