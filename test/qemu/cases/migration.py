# SPDX-License-Identifier: BSD-3-Clause
"""Live migration between QEMUs of one way, and of plain ones, while most of the RAM is out."""
from qemutest.moving import (arrives, back_and_forth, begin_work, cancelled_at_work, comes_back,
                             filled_pair, left_alone, move, move_at_work, through_file)
from uffdmm_vm import Plain
from uffdmm_vm.backend import backend_statistics, tier_reads
from uffdmm_vm.migration import Migration, incoming

WAYS = ("backend",)
CPUS = (2,)


def test_a_guest_at_work_moves(t):
    """The guest works on, and every byte is right where it arrives."""
    with filled_pair(t) as (source, destination):
        move_at_work(t, source, destination)
        t.expect_swapping(destination)
        t.expect_within_limit(source)
        t.expect_within_limit(destination)
        destination.power_off()


def plain(t):
    """RAM by the same name, which the stream has in it."""
    ram = f"memory-backend-ram,id=ram0,size={t.memory}"
    return Plain(qemu=t.qemu[t.way], arguments=("-object", ram, "-machine", "memory-backend=ram0"))


def test_from_plain(t):
    """A guest of a QEMU with RAM of its own moves to one with the backend."""
    with filled_pair(t, source=plain(t)) as (source, destination):
        move_at_work(t, source, destination)
        t.expect_within_limit(destination)
        destination.power_off()


def test_to_plain(t):
    """A guest of a QEMU with the backend moves to one with RAM of its own."""
    with filled_pair(t, destination=plain(t)) as (source, destination):
        move_at_work(t, source, destination)
        t.expect_within_limit(source)
        destination.power_off()


def test_cancelled(t):
    """A migration is cancelled: the guest goes on where it is, and moves at the second try."""
    with filled_pair(t) as (source, destination):
        cancelled_at_work(t, source, destination)
        with t.machine(kind=incoming) as other:
            move(t, source, other)
            t.verify(other)
            other.power_off()


def test_destination_killed(t):
    """The destination dies in the middle: the guest goes on at the source."""
    with left_alone(t) as source:
        source.power_off()


def test_multifd(t):
    """Several connections carry the pages."""
    with filled_pair(t) as (source, destination):
        move_at_work(t, source, destination, ("multifd",), multifd_channels=2)
        destination.power_off()


def test_back_and_forth(t):
    """Ten migrations in a row under work; every byte is right after each."""
    for _ in back_and_forth(t, 10):
        pass


def test_file(t):
    """The guest is stopped, saved to a file and brought up from it elsewhere."""
    with filled_pair(t) as (source, destination):
        source.qmp.command("stop")
        through_file(t, source, destination)
        comes_back(t, destination)


def test_nothing_comes_in(t):
    """Pages that are out of memory are read where they are: the source brings none of them in."""
    with filled_pair(t) as (source, destination):
        before = tier_reads(backend_statistics(source))
        move(t, source, destination)
        brought_in = tier_reads(backend_statistics(source)) - before
        t.notes.append(f"{brought_in} pages brought in")
        # The guest's own kernel runs meanwhile. Most of 65536 pages would come in otherwise.
        t.expect(brought_in < 3000, f"hardly a page is brought in ({brought_in})")
        t.verify(destination)
        destination.power_off()


def test_xbzrle(t):
    """Deltas apply to what was sent last, wherever the page was then."""
    with filled_pair(t) as (source, destination):
        begin_work(t, source)
        migration = Migration(source, destination, ("xbzrle",), max_bandwidth=64 << 20,
                              xbzrle_cache_size=128 << 20)
        status = migration.complete()
        t.notes.append(f"{status.rounds} rounds")
        arrives(t, migration, destination)


def test_mapped_ram(t):
    """A file in which every page has its place; saved while the guest runs, by two threads."""
    with filled_pair(t) as (source, destination):
        for machine in (source, destination):
            machine.qmp.command("migrate-set-capabilities", capabilities=[
                {"capability": name, "state": True} for name in ("mapped-ram", "multifd")])
            machine.qmp.command("migrate-set-parameters", multifd_channels=2)
        source.ask(f"touch zipf seconds=2 writes=20 threads={t.cpus}")
        through_file(t, source, destination)
        Migration.wait_running(destination, 60)
        t.verify(destination)
        t.expect_within_limit(destination)
        destination.power_off()
