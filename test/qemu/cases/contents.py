# SPDX-License-Identifier: BSD-3-Clause
"""Memory that verifies itself, four times as much as the host may spend."""
from qemutest import once


def test_every_byte_is_right(t):
    """A guest with four times its limit filled boots, works, and finds every byte right."""
    with t.machine() as vm:
        vm.wait_ready()
        t.fill_all(vm)
        for pattern in ("uniform", "zipf", "sequential"):
            answer = vm.ask(f"touch {pattern} seconds=1 writes=40 threads={t.cpus}")
            t.expect(answer.number("pages") > 0, f"{pattern}: something is touched")
        vm.ask(f"touch uniform seconds=1 writes=50 whole threads={t.cpus}")
        t.verify(vm)
        t.expect_swapping(vm)
        t.expect_within_limit(vm)
        vm.power_off()


@once
def test_damage_is_noticed(t):
    """A changed bit in a few pages is found, in as many pages and no more."""
    with t.machine() as vm:
        vm.wait_ready()
        t.fill_all(vm)
        vm.ask("damage pages=5")
        t.expect(vm.ask(f"verify threads={t.cpus}").bad == 5, "five pages are wrong")
        t.expect(vm.ask(f"verify threads={t.cpus}").bad == 5, "they are told once")
        vm.power_off()
