# SPDX-License-Identifier: BSD-3-Clause
"""Live migration of a guest whose swapped pages are in a store that both sides read."""
from qemutest.handing_over import (expect_located, located, one_side_runs, refusal, send, shared,
                                   shared_pair, wait_paused)
from qemutest.moving import arrives, begin_work, filled_pair, move_at_work, works_on
from uffdmm_vm import Plain
from uffdmm_vm.backend import backend_statistics, set_migrate_locations, tier_reads
from uffdmm_vm.migration import Migration, incoming
from uffdmm_vm.qmp import QmpError
from uffdmm_vm.sizes import parse_size

WAYS = ("backend",)
CPUS = (2,)
MACHINE = ("-machine", "pc-i440fx-7.2")
HEADER = 8  # bytes before what a record holds


class TwoNodes:
    """RAM in two parts of equal size, each with a budget and a volume of its own in the store."""

    def __init__(self, t):
        self.qemu, self.store, self.limit = t.qemu["backend"], t.folder / "store", t.limit

    def command(self, memory, _folder):
        """As Backend's."""
        words = [self.qemu, "-m", memory]
        for node in range(2):
            ram = (f"memory-backend-uffdmm,id=ram{node},size={parse_size(memory) // 2},"
                   f"limit={parse_size(self.limit) // 2},tiers.0.kind=file,tiers.0.shared=on,"
                   f"tiers.0.path={self.store},tiers.0.size=1G,tiers.0.preallocate=off")
            words += ["-object", ram, "-numa", f"node,memdev=ram{node}"]
        return words


def test_what_it_costs(t):
    """A location takes at most 64 bytes of the stream, and the source brings no page in."""
    with shared_pair(t) as (source, destination):
        before = tier_reads(backend_statistics(source))
        migration = Migration(source, destination, max_bandwidth=1 << 30)
        status = migration.complete()
        expect_located(t, source)
        others = (4096 + HEADER) * status.normal_pages + (1 + HEADER) * status.zero_pages
        share = (status.sent - others) / located(t, source)
        t.notes.append(f"{share:.1f} bytes for each, with all that is not RAM")
        t.expect(share <= 64, f"a location takes at most 64 bytes ({share:.1f})")
        brought_in = tier_reads(backend_statistics(source)) - before
        t.expect(brought_in < 3000, f"hardly a page is brought in ({brought_in})")
        t.expect(backend_statistics(source)["migration_reads"] < 3000, "hardly a page is read")
        t.verify(destination)
        destination.power_off()


def test_compressed_memory_goes_as_contents(t):
    """With compressed RAM in front of the store, what is there is sent."""
    def ram():
        return t.ram_by(tiers=("ram:16M", f"shared:{t.folder}/store:1G"))
    with filled_pair(t, source=ram(), destination=ram()) as (source, destination):
        move_at_work(t, source, destination)
        statistics = backend_statistics(source)
        t.expect(statistics["migration_locations"] > 1000, "pages went as locations")
        t.expect(statistics["migration_reads"] > 1000, "and others with their contents")
        destination.power_off()


def test_without_the_store(t):
    """A destination that has no such store refuses before the first page; contents get there."""
    with t.machine(ram=shared(t)) as source:
        source.wait_ready()
        t.fill_all(source)
        for ram in (None, shared(t, "another")):
            with t.machine(kind=incoming, ram=ram) as destination:
                said = refusal(t, source, destination)
                t.expect("ram0 is sent by locations, which can't be used here" in said, said)
                t.expect("migrate-locations=off" in said, said)
        before = located(t, source)
        set_migrate_locations(source, False)
        with t.machine(kind=incoming) as destination:
            move_at_work(t, source, destination)
            t.expect(located(t, source) == before, "no page goes as a location")
            destination.power_off()


def test_to_plain(t):
    """A destination with RAM of its own refuses, with the backend's code in it and without."""
    ram = ("-object", f"memory-backend-ram,id=ram0,size={t.memory}", "-machine",
           "memory-backend=ram0", *MACHINE)
    wanted = {t.qemu["backend"]: "ram0 is sent by locations, which can't be used here: the block "
                                 "has no pager here",
              t.qemu["runner"]: "Unknown savevm section or instance 'ram-locations'"}
    with t.machine(ram=shared(t, arguments=MACHINE)) as source:
        source.wait_ready()
        t.fill_all(source)
        for qemu, message in wanted.items():
            with t.machine(kind=incoming, ram=Plain(qemu=qemu, arguments=ram)) as destination:
                said = refusal(t, source, destination)
                t.expect(message in said, said)


def test_one_side_runs(t):
    """Whichever side is told first to go on has the guest; the other one refuses."""
    for _, loser in one_side_runs(t):
        try:
            loser.qmp.command("cont")
            t.expect(False, "the other side refuses")
        except QmpError as error:
            t.expect("taken over" in str(error) or "taken block" in str(error), str(error))
        t.expect(loser.qmp.command("query-status")["status"] != "running", "and stands still")


def test_multifd(t):
    """Several connections carry what is in memory."""
    with shared_pair(t) as (source, destination):
        move_at_work(t, source, destination, ("multifd",), multifd_channels=2)
        expect_located(t, source)
        destination.power_off()


def test_xbzrle(t):
    """Deltas apply to what was sent last, and to no page that went by its location since."""
    with shared_pair(t) as (source, destination):
        begin_work(t, source)
        migration = Migration(source, destination, ("xbzrle",), max_bandwidth=64 << 20,
                              xbzrle_cache_size=128 << 20)
        migration.complete()
        expect_located(t, source)
        arrives(t, migration, destination)


def test_two_nodes(t):
    """RAM of two backends changes hands as a whole, in either direction."""
    with shared_pair(t, source=TwoNodes(t), destination=TwoNodes(t)) as (source, destination):
        begin_work(t, source)
        send(source, destination)
        wait_paused(t, destination)
        source.qmp.command("cont")
        works_on(t, source.end())
        t.verify(source)
        with t.machine(kind=incoming, ram=TwoNodes(t)) as other:
            move_at_work(t, source, other)
            counts = [backend_statistics(source, f"/objects/ram{node}")["migration_locations"]
                      for node in range(2)]
            t.notes.append(f"{counts} locations")
            t.expect(min(counts) > 5000, "both send locations")
            other.power_off()
