# SPDX-License-Identifier: BSD-3-Clause
"""Who is compared: the library with a tier of each QEMU's own, and with one that both share;
kernel swap at the same memory; and memory for everything.

    with library(setting, image, journal) as side, side.machine(0) as source: ...
"""
import contextlib
import dataclasses
import os
import tempfile

from comparelib.cgroup import MemoryGroup, memory_group
from comparelib.knobs import fields_of, read_knob
from comparelib.swap import file_swap
from uffdmm_vm import Machine
from uffdmm_vm.backend import backend_statistics, tier_reads

PEAKS = {1: "memory.max_usage_in_bytes", 2: "memory.peak"}


def nothing(_source):
    """Where there is none of it."""
    return 0


def kernel_swap_ins(_source):
    """Pages that the kernel has read from swap since it started, on the whole machine."""
    return fields_of("/proc/vmstat")["pswpin"]


def library_swap_ins(source):
    """Pages that came in from tiers; what the migration reads there is not among them."""
    return tier_reads(backend_statistics(source))


def library_locations(source):
    """Pages that were sent as where they are."""
    return backend_statistics(source)["migration_locations"]


@dataclasses.dataclass
class Side:
    """`groups`: of the source and of the destination. `swap_ins`: a function of the source, of
    pages that came back into memory so far. The kernel counts those of both machines, of which the
    destination has next to none while the guest is not there. `locations`: likewise, of pages of
    the last migration that were sent as where they are."""
    name: str
    setting: object
    image: object
    way: object
    groups: list[MemoryGroup]
    swap_ins: object
    locations: object = nothing

    def machine(self, place, kind=Machine, told=None):
        """The source (place 0) or a destination (1)."""
        return kind(self.image, self.way, memory=self.setting.memory,
                    enter=self.groups[place].enter_command, told=told)

    def oom_kills(self):
        """Processes of the groups that were killed for lack of memory."""
        return sum(group.oom_kills() for group in self.groups)

    def peaks(self):
        """The most bytes that each group was charged for."""
        return [int(read_knob(f"{group.path}/{PEAKS[group.version]}")) for group in self.groups]


@contextlib.contextmanager
def groups_of_two(journal, limits):
    """For source and destination."""
    names = [f"uffdmm-migration-{os.getpid()}-{place}" for place in ("source", "destination")]
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(memory_group(journal, limit, name))
               for limit, name in zip(limits, names)]


@contextlib.contextmanager
def library(setting, image, journal, _limits):
    """The meter is the group's; nothing limits it but the library."""
    with groups_of_two(journal, (None, None)) as groups:
        yield Side("library", setting, image, setting.library(setting.private_tier()), groups,
                   library_swap_ins)


@contextlib.contextmanager
def library_shared(setting, image, journal, _limits):
    """The same, on one store."""
    with tempfile.TemporaryDirectory(prefix="uffdmm-store-", dir=setting.directory) as folder, \
            groups_of_two(journal, (None, None)) as groups:
        yield Side("library, shared", setting, image, setting.library(setting.shared_tier(folder)),
                   groups, library_swap_ins, library_locations)


@contextlib.contextmanager
def kernel_swap(setting, image, journal, limits):
    """Each group may use what the library's took."""
    with file_swap(journal, setting.swap_size(), setting.directory), \
            groups_of_two(journal, limits) as groups:
        yield Side("kernel swap", setting, image, setting.plain(), groups, kernel_swap_ins)


@contextlib.contextmanager
def resident(setting, image, journal, _limits):
    """Memory for everything: what migration costs on this machine whoever manages the memory."""
    with groups_of_two(journal, (None, None)) as groups:
        yield Side("resident", setting, image, setting.plain(), groups, nothing)


SIDES = {"library": library, "library, shared": library_shared, "kernel swap": kernel_swap,
         "resident": resident}
