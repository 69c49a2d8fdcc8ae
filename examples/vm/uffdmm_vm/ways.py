# SPDX-License-Identifier: BSD-3-Clause
"""The ways in which a guest gets its RAM: QEMU's own, through uffdmm-run, by QEMU's backend."""
import dataclasses
import os
import pathlib

TOP = pathlib.Path(__file__).resolve().parents[3]
QEMU = "qemu-system-x86_64"


def has_kvm():
    """Whether a distribution's kernel runs under KVM here: the CPU helps and the device opens."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        flags = next((line.split() for line in file if line.startswith("flags")), [])
    if not {"vmx", "svm"} & set(flags):
        return False
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


@dataclasses.dataclass(frozen=True)
class Plain:
    """QEMU as it is."""
    qemu: str = QEMU
    arguments: tuple = ()
    name = "plain"

    def command(self, memory, _folder):
        """The beginning of the command line, for a guest with so much RAM."""
        return [self.qemu, "-m", memory, *self.arguments]


@dataclasses.dataclass(frozen=True)
class Runner:
    """The distribution's QEMU under uffdmm-run. `build`: the build folder."""
    limit: str = "256M"
    tiers: tuple = ()
    build: pathlib.Path = TOP / "build"
    options: tuple = ()
    qemu: str = QEMU
    arguments: tuple = ()
    name = "runner"

    def command(self, memory, folder):
        """As Plain's."""
        tiers = [word for tier in self.tiers for word in ("--tier", tier)]
        return [f"{self.build}/shim/uffdmm-run", "--limit", self.limit, *tiers,
                "--stats", f"{folder}/stats.json", *self.options,
                "--", self.qemu, "-m", memory, *self.arguments]


@dataclasses.dataclass(frozen=True)
class Backend:
    """A QEMU with memory-backend-uffdmm. `options`: more of the object's."""
    qemu: str
    limit: str = "256M"
    tiers: tuple = ()
    options: tuple = ()
    arguments: tuple = ()
    name = "backend"

    def command(self, memory, _folder):
        """As Plain's."""
        tiers = [f"tiers.{place}={tier}" for place, tier in enumerate(self.tiers)]
        ram = ",".join(["memory-backend-uffdmm", "id=ram0", f"size={memory}",
                        f"limit={self.limit}", *tiers, *self.options])
        return [self.qemu, "-L", "/usr/share/seabios", "-L", "/usr/share/qemu", "-m", memory,
                "-object", ram, "-machine", "memory-backend=ram0", *self.arguments]
