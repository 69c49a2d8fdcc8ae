# SPDX-License-Identifier: BSD-3-Clause
"""Live migration of the distribution's QEMU, which knows nothing of the library, under uffdmm-run.

Its migration thread reads all of guest memory, what is swapped out included. The library recognises
that, so that the guest's working set stays.
"""
import contextlib

from uffdmm_vm import Plain
from uffdmm_vm.migration import Migration, incoming

WAYS = ("runner",)
CPUS = (2,)
BANDWIDTH = 1 << 30
PAGES_PER_MIB = 256
WORK = "touch zipf seconds=4 writes=20"
HOT_MIB = 24


@contextlib.contextmanager
def filled_pair(t, source=None, destination=None):
    """The two machines; the guest on the first has filled four times the limit."""
    with (t.machine(ram=source) as there,
          t.machine(kind=incoming, ram=destination) as elsewhere):
        there.wait_ready()
        t.fill_all(there)
        yield there, elsewhere


def move_at_work(t, source, destination):
    """In the middle of the guest's work, which ends over there, with every byte right.

    QEMU 7.2 under TCG misses writes while it migrates, with or without the library, so there the
    guest stands still meanwhile.
    """
    source.begin(f"{WORK} threads={t.cpus}")
    source.wait_report("progress")
    if not source.kvm:
        source.qmp.command("stop")
    migration = Migration(source, destination, max_bandwidth=BANDWIDTH)
    status = migration.complete(running=source.kvm)
    t.notes.append(f"{status.seconds:.1f} s, {status.sent >> 20} MiB")
    if not source.kvm:
        destination.qmp.command("cont")
    t.expect(migration.end().bad == 0, "the work goes on without a wrong page")
    t.verify(destination)


def expect_swept(t, source):
    """What is out of memory came in for the migration thread, and was recognised as that: some
    200 MiB, by up to 64 pages a fault."""
    swept = t.library(source)["one_pass_faults"]
    t.notes.append(f"{swept} faults of one pass")
    t.expect(swept > 400, f"the migration thread is recognised ({swept} faults)")


def test_a_guest_at_work_moves(t):
    """The guest works on, and every byte is right where it arrives."""
    with filled_pair(t) as (source, destination):
        move_at_work(t, source, destination)
        t.expect_swapping(destination)
        expect_swept(t, source)
        t.expect_within_limit(source)
        t.expect_within_limit(destination)
        destination.power_off()


def test_to_plain(t):
    """A guest moves to a QEMU that does not run under uffdmm-run."""
    with filled_pair(t, destination=Plain()) as (source, destination):
        move_at_work(t, source, destination)
        expect_swept(t, source)
        t.expect_within_limit(source)
        destination.power_off()


def test_from_plain(t):
    """A guest moves from a QEMU that does not run under uffdmm-run."""
    with filled_pair(t, source=Plain()) as (source, destination):
        move_at_work(t, source, destination)
        t.expect_swapping(destination)
        t.expect_within_limit(destination)
        destination.power_off()


def refaults_of_a_look(t, vm):
    """How many pages come in while the guest reads all that it has filled."""
    before = t.library(vm)["refaults"]
    t.verify(vm)
    return t.library(vm)["refaults"] - before


def test_the_working_set_stays(t):
    """Pages that the guest uses are in memory after a migration has read everything else."""
    with t.machine() as vm:
        vm.wait_ready()
        t.fill_all(vm)
        # The rest keeps its contents, as far as the host can see.
        vm.ask(f"shrink {HOT_MIB}M")
        for _ in range(3):
            t.verify(vm)
        before = refaults_of_a_look(t, vm)
        vm.qmp.command("stop")
        vm.qmp.command("migrate-set-parameters", max_bandwidth=BANDWIDTH)
        vm.qmp.command("migrate", uri="exec:cat >/dev/null")
        t.wait_for("everything is read",
                   lambda: vm.qmp.command("query-migrate").get("status") == "completed", 120)
        expect_swept(t, vm)
        vm.qmp.command("cont")
        after = refaults_of_a_look(t, vm)
        t.notes.append(f"{before} pages come in before, {after} after")
        # Most of them would, had the sweep pushed them out.
        few = HOT_MIB * PAGES_PER_MIB // 3
        t.expect(after <= before + few, f"the working set stays: {before} come in, then {after}")
        vm.power_off()
