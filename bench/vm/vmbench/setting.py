# SPDX-License-Identifier: BSD-3-Clause
"""What holds for a whole run, and what is measured."""
import dataclasses
import pathlib

from uffdmm_vm import Backend, Plain, Runner

MIB = 1 << 20
# What the kernel swaps to. The library has the same, but for the last: there it has compressed RAM
# in front of the disk, as the kernel's zswap cannot be held to so little memory.
MATCHED = ("zram", "disk")
RIVALS = (*MATCHED, "disk-tiers")
FACTORS = (2, 4)
PATTERNS = ("uniform", "zipf", "sequential")
# Four limits of memory, and the guest's kernel, have to fit into zram beside what stays resident;
# elsewhere pages compress to a third.
MIX = "mix zero=3 same=7 random=0 ratio="
RATIOS = {"zram": 1000}
RATIO = 300
# Beyond guest RAM, for copies that are kept after being read back.
SPARE = 1.25
# So much that nothing ever leaves memory.
AMPLE = 2


@dataclasses.dataclass(frozen=True)
class Setting:
    """Sizes in bytes, times in seconds. `qemu`: of both sides."""
    build: pathlib.Path
    qemu: str
    way: str = "runner"
    limit: int = 160 * MIB
    memory: int = 832 * MIB
    cpus: int = 1
    writes: int = 20
    warmup: float = 1
    seconds: float = 3
    directory: str = "/var/tmp"
    options: tuple = ()

    @property
    def memory_text(self):
        """For QEMU."""
        return f"{self.memory // MIB}M"

    def plain(self):
        """The rival's QEMU."""
        return Plain(qemu=self.qemu)

    def library(self, limit, tiers):
        """The library's."""
        more = {"qemu": self.qemu, "limit": f"{limit // MIB}M", "tiers": tuple(tiers),
                "options": self.options}
        return Backend(**more) if self.way == "backend" else Runner(build=self.build, **more)

    @staticmethod
    def mix(rival):
        """What the guest fills its memory with: a command to it."""
        return f"{MIX}{RATIOS.get(rival, RATIO)}"

    def swap_size(self):
        """Of a swap area or a file tier, whole MiB."""
        return int(SPARE * self.memory) // MIB * MIB

    def tiers(self, rival):
        """Of the library, beside that rival."""
        if rival == "zram":
            return [f"ram:{self.limit * 9 // 10 // MIB}M"]
        disk = f"file:{self.directory}:{self.swap_size() // MIB}M"
        return [disk] if rival == "disk" else [f"ram:{self.limit // 2 // MIB}M", disk]
