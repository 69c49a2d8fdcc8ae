# SPDX-License-Identifier: BSD-3-Clause
"""Live migration by locations of a distribution's QEMU, which knows nothing of it, under
uffdmm-run --migrate-locations."""
import contextlib
import re

from qemutest.handing_over import (expect_located, one_side_runs, refusal, sent, shared,
                                   shared_pair)
from qemutest.moving import arrives, begin_slowly, begin_work, filled_pair, move_at_work
from uffdmm_vm import Plain
from uffdmm_vm.backend import tier_reads
from uffdmm_vm.migration import Migration, incoming
from uffdmm_vm.ways import QEMU

WAYS = ("runner",)
CPUS = (2,)
NEEDS = "backports"
HEADER = 8  # bytes before what a record of QEMU's holds
UNUSABLE = "the guest's memory is sent by locations, which cannot be used here"
TWO_BLOCKS = ("-object", "memory-backend-ram,id=ram0,size=192M",
              "-object", "memory-backend-memfd,id=ram1,size=192M,share=off",
              "-numa", "node,memdev=ram0", "-numa", "node,memdev=ram1")


def test_what_it_costs(t):
    """A location takes at most 64 bytes of the stream, and the source brings no page in."""
    with shared_pair(t) as (source, destination):
        before = tier_reads(t.library(source))
        status = Migration(source, destination, max_bandwidth=1 << 30).complete()
        expect_located(t, source)
        others = (4096 + HEADER) * status.normal_pages + (1 + HEADER) * status.zero_pages
        others += (4096 + HEADER) * (sent(source, "with contents from a tier") +
                                 sent(source, "that had come into memory"))
        share = (status.sent - others) / sent(source)
        brought_in = tier_reads(t.library(source)) - before
        t.notes.append(f"{status.seconds:.1f} s, {status.sent >> 20} MiB, {share:.1f} bytes each "
                       f"with all that is not RAM, {brought_in} pages brought in")
        t.expect(share <= 64, f"a location takes at most 64 bytes ({share:.1f})")
        t.expect(brought_in < 3000, f"hardly a page is brought in ({brought_in})")
        t.verify(destination)
        destination.power_off()


def test_a_slow_connection(t):
    """The guest writes, for rounds, to pages that have gone by their locations."""
    with shared_pair(t) as (source, destination):
        begin_work(t, source)
        migration = begin_slowly(t, source, destination)
        t.wait_for("some rounds are over", lambda: migration.status().rounds > 2, 60)
        source.qmp.command("migrate-set-parameters", max_bandwidth=1 << 30)
        t.wait_for("the migration ends", lambda: migration.status().final, 60)
        migration.wait_running(destination)
        expect_located(t, source)
        arrives(t, migration, destination)


def test_compressed_memory_goes_as_contents(t):
    """With compressed RAM in front of the store, what is there is read there and sent."""
    def ram():
        return shared(t, tiers=("ram:16M", f"shared:{t.folder}/store:1G"))
    with filled_pair(t, source=ram(), destination=ram()) as (source, destination):
        move_at_work(t, source, destination)
        expect_located(t, source, 1000)
        t.expect(sent(source, "with contents from a tier") > 1000, "others with their contents")
        destination.power_off()


def test_two_blocks(t):
    """RAM in two blocks changes hands as a whole."""
    def ram():
        return shared(t, arguments=TWO_BLOCKS)
    with shared_pair(t, source=ram(), destination=ram()) as (source, destination):
        move_at_work(t, source, destination)
        expect_located(t, source)
        destination.power_off()


def test_without_the_store(t):
    """A destination without the store, or without the option, refuses before the first page."""
    with t.machine(ram=shared(t)) as source:
        source.wait_ready()
        t.fill_all(source)
        for ram, message in ((shared(t, "another"), UNUSABLE),
                             (shared(t, options=()), "Unknown savevm section or instance"),
                             (Plain(qemu=t.qemu["runner"]), "Unknown savevm section or instance")):
            with t.machine(kind=incoming, ram=ram) as destination:
                said = refusal(t, source, destination)
                t.expect(message in said, said)
        source.power_off()


def test_from_without(t):
    """A source without the option sends contents to a destination that has it."""
    with shared_pair(t, source=shared(t, options=())) as (source, destination):
        move_at_work(t, source, destination)
        t.expect(sent(source) == 0, "no page goes as a location")
        destination.power_off()


def goes_with_contents(t, source, destination, why, *arguments, **parameters):
    """The guest moves, the source says why no page goes as a location."""
    move_at_work(t, source, destination, *arguments, **parameters)
    t.expect(f"all contents: {why}" in source.errors(), source.errors())
    t.expect(sent(source) == 0, "no page goes as a location")
    destination.power_off()


def test_multifd(t):
    """Several connections have no common order: contents, with a message."""
    with shared_pair(t) as pair_of_them:
        goes_with_contents(t, *pair_of_them, "multifd", ("multifd",), multifd_channels=2)


def test_xbzrle(t):
    """Deltas would apply to what has gone by its location since: contents, with a message."""
    with shared_pair(t) as pair_of_them:
        goes_with_contents(t, *pair_of_them, "xbzrle", ("xbzrle",))


def test_another_version(t):
    """A QEMU whose layouts were not compared says so, and its guest runs as ever."""
    with t.machine(ram=shared(t, qemu=QEMU)) as vm:
        vm.wait_ready()
        t.expect(re.search(r"with all contents: it is QEMU [0-9.]+; known are 10\.0\.2",
                           vm.errors()), vm.errors())
        t.fill_all(vm)
        t.verify(vm)
        vm.power_off()


def test_one_side_runs(t):
    """Whichever side is told first to go on has the guest; the other one's process ends."""
    for _, loser in one_side_runs(t):
        with contextlib.suppress(ConnectionError):
            loser.qmp.command("cont")
        t.expect(loser.process.wait(30) == 1, "the other side ends")
        t.expect("the guest must not run here" in loser.errors(), loser.errors())
