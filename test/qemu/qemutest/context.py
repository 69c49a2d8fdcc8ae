# SPDX-License-Identifier: BSD-3-Clause
"""What a test is given: machines, checks, and the memory that QEMU may take."""
import dataclasses
import pathlib
import time

from uffdmm_vm import Backend, Machine, Runner
from uffdmm_vm.backend import backend_statistics, set_limit
from uffdmm_vm.sizes import parse_size
from uffdmm_vm.statistics import ask, statistics, written

from .overhead import own_memory

MIB = 1 << 20
# Programs differ a little from run to run, and the library's code is not in its limit.
TOLERANCE = 16 * MIB
POLL = 0.1


class Failed(AssertionError):
    """A promise is not kept."""


@dataclasses.dataclass
class Context:
    """One call of one test. `folder`: its own, empty at first."""
    image: object
    way: str
    cpus: int
    build: pathlib.Path
    qemu: dict
    folder: pathlib.Path
    memory: str = "384M"
    limit: str = "64M"
    fill: str = "256M"
    notes: list = dataclasses.field(default_factory=list)

    def ram_by(self, **more):
        """The way under test, with compressed RAM in front of a file."""
        limit = more.pop("limit", self.limit)
        options = {"limit": limit, "qemu": self.qemu[self.way], "tiers": self.tiers(limit), **more}
        if self.way == "backend":
            return Backend(**options)
        return Runner(build=self.build, **options)

    def tiers(self, limit):
        """As uffdmm-run takes them."""
        return (f"ram:{parse_size(limit) // 4 // MIB}M", f"file:{self.folder}:{self.memory}")

    def machine(self, kind=Machine, ram=None, **more):
        """For `with`."""
        options = {"memory": self.memory, "cpus": self.cpus, **more}
        return kind(self.image, ram or self.ram_by(), **options)

    # Commands to the guest, with as many threads as it has CPUs.
    def fill_all(self, vm, size=None):
        """Four times the limit, unless told otherwise."""
        return vm.ask(f"fill {size or self.fill} threads={self.cpus}")

    def verify(self, vm):
        """Every byte that is filled is right."""
        answer = vm.ask(f"verify threads={self.cpus}")
        self.expect(answer.number("pages") > 0, "something is verified")
        self.expect(answer.bad == 0, f"no wrong page ({answer.bad})")

    # Checks.
    def expect(self, fact, what):
        """Ends the test where it does not hold."""
        if not fact:
            raise Failed(what)

    def wait_for(self, what, fact, timeout=30):
        """Until fact() holds."""
        end = time.monotonic() + timeout
        while not fact():
            if time.monotonic() > end:
                raise Failed(f"{what}: not within {timeout} s")
            time.sleep(POLL)

    def own_memory(self, devices=(), reboots=False):
        """Bytes that a plain QEMU takes for itself, and a little more."""
        return TOLERANCE + own_memory(self.image, self.qemu[self.way], self.memory, self.cpus,
                                      tuple(devices), reboots)

    def expect_within_limit(self, vm, limit=None, devices=(), reboots=False):
        """QEMU's process takes the limit and its own memory, and no more, since it started."""
        most = parse_size(limit or self.limit) + self.own_memory(devices, reboots)
        peak = vm.memory().peak
        self.notes.append(f"peak {peak // MIB} of {most // MIB} MiB")
        self.expect(peak <= most, f"QEMU takes at most {most // MIB} MiB ({peak // MIB})")

    def library(self, vm):
        """The library's statistics; those of uffdmm-run also after QEMU has ended."""
        if self.way == "backend":
            return backend_statistics(vm)
        return (statistics(vm) if vm.process.poll() is None else written(vm))["library"]

    def set_limit(self, vm, limit):
        """Returns when the library keeps to it."""
        if self.way == "backend":
            set_limit(vm, parse_size(limit))
        else:
            ask(vm, "limit", bytes=limit)

    def expect_swapping(self, vm):
        """So that a test that put no page out does not count as one."""
        out = self.library(vm)["swapped_out"]
        self.expect(out > 0, "pages were swapped out")
        self.notes.append(f"{out} pages out")
