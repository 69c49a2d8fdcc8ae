# SPDX-License-Identifier: BSD-3-Clause
"""The ways in which a guest gets its RAM: QEMU's own, through uffdmm-run, by QEMU's backend."""
import dataclasses
import os
import pathlib

from .statistics import FILE, SOCKET

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
                "--stats", f"{folder}/{FILE}", "--control", f"{folder}/{SOCKET}", *self.options,
                "--", self.qemu, "-m", memory, *self.arguments]


def backend_tier(place, text):
    """ram:SIZE[:lz4|zstd], file:PATH:SIZE, shared:PATH:SIZE (a file that several hosts share) or
    nbd:URI, which uffdmm-run takes, as options of the object."""
    kind, _, rest = text.partition(":")
    if kind == "ram":
        size, _, compression = rest.partition(":")
        options = {"kind": kind, "size": size, "compression": compression or "lz4"}
    elif kind in ("file", "shared"):
        path, _, size = rest.rpartition(":")
        options = {"kind": "file", "path": path.replace(",", ",,"), "size": size}
        if kind == "shared":
            options |= {"shared": "on", "preallocate": "off"}
    elif kind == "nbd":
        options = {"kind": kind, "uri": rest.replace(",", ",,")}
    else:
        raise ValueError(f"tier {text}: allowed are ram:SIZE[:lz4|zstd], file:PATH:SIZE, nbd:URI "
                         "and shared:PATH:SIZE")
    options["name"] = f"{kind}{place}"
    return [f"tiers.{place}.{key}={value}" for key, value in options.items()]


@dataclasses.dataclass(frozen=True)
class Backend:
    """A QEMU with memory-backend-uffdmm: `qemu` is what shim/qemu/build.sh printed. `tiers` as
    Runner's; `options`: more of the object's."""
    qemu: str
    limit: str = "256M"
    tiers: tuple = ()
    options: tuple = ()
    arguments: tuple = ()
    name = "backend"

    def command(self, memory, _folder):
        """As Plain's."""
        tiers = [word for place, tier in enumerate(self.tiers)
                 for word in backend_tier(place, tier)]
        ram = ",".join(["memory-backend-uffdmm", "id=ram0", f"size={memory}",
                        f"limit={self.limit}", *tiers, *self.options])
        return [self.qemu, "-m", memory, "-object", ram, "-machine", "memory-backend=ram0",
                *self.arguments]
