# SPDX-License-Identifier: BSD-3-Clause
"""memory-backend-uffdmm and a tier that does not give back what it was given."""
import signal
import subprocess

from uffdmm_vm import MachineFailed

WAYS = ("backend",)
CPUS = (1,)
MIB = 1 << 20


def machine_with_lost_pages(t):
    """A guest that is stopped, and whose tier lost all that it has."""
    path = t.folder / "tier"
    vm = t.machine(ram=t.ram_by(tiers=(f"file:{path}:512M",)))
    return vm, path


def overwrite(path):
    """Every byte."""
    with open(path, "r+b") as file:
        for _ in range(path.stat().st_size // MIB):
            file.write(b"\xa5" * MIB)


def lose_pages(vm, path):
    """The guest stands still, most of its memory is in the tier, and the tier forgets it."""
    vm.wait_ready()
    vm.ask("mix zero=0 same=0")
    vm.ask("fill 200M")
    vm.qmp.command("stop")
    vm.qmp.command("qom-set", path="/objects/ram0", property="evict", value={})
    overwrite(path)


def test_the_guest_never_sees_a_lost_page(t):
    """Without a machine check (TCG has none) QEMU ends rather than give the guest other bytes."""
    vm, path = machine_with_lost_pages(t)
    with vm:
        lose_pages(vm, path)
        vm.qmp.command("cont")
        try:
            bad = vm.ask("verify").bad
        except (MachineFailed, ConnectionError, BrokenPipeError, subprocess.TimeoutExpired):
            bad = 0
        t.expect(bad == 0, f"no wrong page is seen ({bad})")
        if not vm.kvm:
            t.expect(vm.process.wait(30) == -signal.SIGBUS, f"SIGBUS ({vm.process.returncode})")
