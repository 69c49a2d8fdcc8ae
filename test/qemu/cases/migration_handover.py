# SPDX-License-Identifier: BSD-3-Clause
"""A guest whose swapped pages are in a store that both sides read changes hands, by QEMU's backend
and by a distribution's QEMU under uffdmm-run --migrate-locations, whatever ends when."""
import re
import signal
import subprocess

from qemutest.handing_over import (expect_located, goes_on, send, shared, shared_pair,
                                   wait_paused)
from qemutest.moving import (back_and_forth, cancelled_at_work, comes_back, left_alone, move,
                             move_at_work, pair, through_file)
from uffdmm_vm.migration import Migration, incoming

CPUS = (2,)
NEEDS = "backports"


def test_a_guest_at_work_moves(t):
    """Its swapped pages stay where they are; it works on, and every byte is right."""
    with shared_pair(t) as (source, destination):
        move_at_work(t, source, destination)
        expect_located(t, source)
        t.expect_within_limit(source)
        t.expect_within_limit(destination)
        destination.power_off()


def test_cancelled(t):
    """A migration is cancelled: the guest goes on where it is, and moves at the second try."""
    with shared_pair(t) as (source, destination):
        cancelled_at_work(t, source, destination)
        t.fill_all(source)  # what was leased is free again: the store holds no more than this
        with t.machine(kind=incoming, ram=shared(t)) as other:
            move_at_work(t, source, other)
            expect_located(t, source)
            other.power_off()


def test_destination_killed(t):
    """The destination dies in the middle: the guest goes on at the source."""
    with left_alone(t, shared(t), shared(t)) as source:
        with t.machine(kind=incoming, ram=shared(t)) as other:
            move(t, source, other)
            t.verify(other)
            other.power_off()


def test_destination_killed_before_it_starts(t):
    """All is sent, and the destination dies before the guest runs there: the source goes on."""
    with shared_pair(t) as (source, destination):
        send(source, destination)
        wait_paused(t, destination)
        destination.process.kill()
        destination.process.wait()
        source.qmp.command("cont")
        t.verify(source)
        t.fill_all(source)
        t.verify(source)
        source.power_off()


def listed(t):
    """The volumes of the store."""
    tool = t.build / "shim" / "uffdmm-store"
    return subprocess.run([tool, "list", t.folder / "store"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def taken(t):
    """MiB that volumes have."""
    return sum(map(int, re.findall(r": \w+, (\d+) MiB", listed(t))))


def offered(t):
    """Whether the store has a volume that is neither one side's nor the other's."""
    return "offered" in listed(t)


def test_destination_killed_before_it_accepts(t):
    """The source has offered everything when the destination dies: it takes it back by itself."""
    source, destination = pair(t, shared(t), shared(t))
    with source:
        with destination:
            source.wait_ready()
            t.fill_all(source)
            # What is left for the end has to fit the connection, for nobody reads there.
            migration = Migration(source, destination, ("return-path", "pause-before-switchover"),
                                  max_bandwidth=64 << 20, downtime_limit=1)
            migration.begin()
            t.wait_for("the source waits",
                       lambda: migration.status().state == "pre-switchover", 60)
            destination.process.send_signal(signal.SIGSTOP)
            source.qmp.command("migrate-continue", state="pre-switchover")
            t.wait_for("it has offered its volume", lambda: offered(t))
            destination.process.kill()
            t.wait_for("the migration fails", lambda: migration.status().state == "failed")
        t.verify(source)
        t.expect(not offered(t), "the volume is the source's again")
        t.fill_all(source)
        t.verify(source)
        source.power_off()


def test_source_killed(t):
    """All is sent, and the source dies: the destination starts the guest all the same."""
    with shared_pair(t) as (source, destination):
        send(source, destination)
        source.process.kill()
        source.process.wait()
        goes_on(t, destination)


def test_source_quits(t):
    """The same if the source ends in good order."""
    with shared_pair(t) as (source, destination):
        send(source, destination)
        source.qmp.command("quit")
        source.process.wait(30)
        goes_on(t, destination)


def test_return_path(t):
    """The source learns how it ended."""
    with shared_pair(t) as (source, destination):
        move_at_work(t, source, destination, ("return-path",))
        expect_located(t, source)
        destination.power_off()


def test_file(t):
    """A file gets contents, for nobody knows who will read it, and when."""
    with shared_pair(t) as (source, destination):
        source.qmp.command("stop")
        through_file(t, source, destination)
        comes_back(t, destination)


def test_back_and_forth(t):
    """Ten migrations in a row under work; every byte is right, and the store no fuller."""
    most = 0
    for source, _ in back_and_forth(t, 10, shared(t)):
        expect_located(t, source)
        most = max(most, taken(t))
    t.notes.append(f"{most} MiB of the store")
    # Twice what it stores, and what each side has claimed ahead.
    t.expect(most <= 896, f"a guest of 384 MiB does not take {most} MiB of the store")
