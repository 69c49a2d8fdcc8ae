# SPDX-License-Identifier: BSD-3-Clause
"""How a guest starts again and how QEMU ends."""
import signal

from qemutest import once


def test_reboot(t):
    """After a reboot with most of its memory swapped out the guest works as before."""
    with t.machine(reboots=True) as vm:
        vm.wait_ready()
        t.fill_all(vm)
        vm.begin("reboot")
        vm.qmp.wait_event("RESET")
        vm.wait_ready()
        t.fill_all(vm)
        vm.ask(f"touch uniform seconds=1 writes=40 threads={t.cpus}")
        t.verify(vm)
        t.expect_within_limit(vm, reboots=True)
        vm.power_off()


@once
def test_quit(t):
    """The monitor's quit ends QEMU, well, with most of guest RAM swapped out."""
    with t.machine() as vm:
        vm.wait_ready()
        t.fill_all(vm)
        t.expect_swapping(vm)
        vm.qmp.command("quit")
        vm.wait_end()
    t.expect(not list(t.folder.iterdir()), "no file is left")


@once
def test_terminate(t):
    """SIGTERM ends QEMU, well, in the middle of the guest's work."""
    with t.machine() as vm:
        vm.wait_ready()
        t.fill_all(vm)
        vm.begin(f"touch uniform seconds=60 writes=40 threads={t.cpus}")
        vm.wait_report("progress")
        vm.process.send_signal(signal.SIGTERM)
        vm.wait_end()
    t.expect(not list(t.folder.iterdir()), "no file is left")
