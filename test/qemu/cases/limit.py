# SPDX-License-Identifier: BSD-3-Clause
"""A limit that changes while the guest works."""
from uffdmm_vm.memory import reset_peak
from uffdmm_vm.sizes import parse_size

# Enough for nearly every page of the guest to be touched.
MANY = "touches=200000"


def change(t, vm, limit, work):
    """Sets the limit while the guest works, and checks what is taken then: returns it, in bytes."""
    vm.begin(f"touch uniform {work} writes=40 threads={t.cpus}")
    t.set_limit(vm, limit)
    reset_peak(vm.process.pid)
    t.expect(vm.end().number("pages") > 0, "something is touched")
    found = t.library(vm)
    t.expect(found["limit_bytes"] == parse_size(limit), "the limit is what was asked for")
    t.expect(found["host_memory_bytes"] <= parse_size(limit), f"{limit} are kept to")
    t.expect_within_limit(vm, limit)
    return found["host_memory_bytes"]


def test_lowered_and_raised(t):
    """Lowering the limit takes memory away, raising it gives memory back, and nothing is lost."""
    with t.machine() as vm:
        vm.wait_ready()
        t.fill_all(vm)
        change(t, vm, "24M", "seconds=2")
        used = change(t, vm, "160M", MANY)
        t.expect(used > parse_size("128M"), f"the guest uses what it is given ({used >> 20} MiB)")
        change(t, vm, "32M", "seconds=2")
        t.verify(vm)
        vm.power_off()
