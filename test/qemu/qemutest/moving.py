# SPDX-License-Identifier: BSD-3-Clause
"""A guest that moves from one machine to another: what tests of that have in common."""
import contextlib

from uffdmm_vm.migration import Migration, incoming

BANDWIDTH = 1 << 30
WORK = "touch zipf seconds=8 writes=20"


def pair(t, source=None, destination=None, **more):
    """Two machines for `with`; rams as t.machine takes them."""
    return (t.machine(ram=source, **more),
            t.machine(kind=incoming, ram=destination, **more))


def move(t, source, destination, capabilities=(), **parameters):
    """The guest runs on the destination afterwards."""
    migration = Migration(source, destination, capabilities,
                          **{"max_bandwidth": BANDWIDTH, **parameters})
    status = migration.complete()
    t.notes.append(f"{status.seconds:.1f} s, {status.sent >> 20} MiB, {status.rounds} rounds")
    return migration


@contextlib.contextmanager
def filled_pair(t, **rams):
    """The two machines; the guest on the first has filled its memory."""
    source, destination = pair(t, **rams)
    with source, destination:
        source.wait_ready()
        t.fill_all(source)
        yield source, destination


def through_file(t, source, destination):
    """Saves the guest, ends the source, and begins to load on the destination."""
    saved = t.folder / "saved"
    source.qmp.command("migrate", uri=f"file:{saved}")
    t.wait_for("the guest is saved",
               lambda: source.qmp.command("query-migrate").get("status") == "completed", 60)
    source.stop()
    destination.qmp.command("migrate-incoming", uri=f"file:{saved}")


def comes_back(t, destination):
    """What was saved is loaded, and every byte is right."""
    t.wait_for("the guest is back", lambda: destination.qmp.command("query-status")["status"]
               not in ("inmigrate", "prelaunch"), 60)
    destination.qmp.command("cont")
    t.verify(destination)
    destination.power_off()


def begin_slowly(t, source, destination, capabilities=()):
    """A migration of which a part is sent, and that goes on."""
    migration = Migration(source, destination, capabilities, max_bandwidth=16 << 20)
    migration.begin()
    t.wait_for("a part of it is sent", lambda: migration.status().sent > 8 << 20)
    return migration


def begin_work(t, vm):
    """What the guest does while it moves."""
    vm.begin(f"{WORK} threads={t.cpus}")


def works_on(t, answer):
    """The work has ended, and found nothing wrong."""
    t.expect(answer.bad == 0, "the work goes on without a wrong page")


def cancelled_at_work(t, source, destination):
    """A migration that is cancelled under way; the guest goes on where it is."""
    begin_work(t, source)
    migration = begin_slowly(t, source, destination)
    t.expect(migration.cancel().state == "cancelled", "the migration was under way")
    works_on(t, source.end())
    t.verify(source)


@contextlib.contextmanager
def left_alone(t, source=None, destination=None):
    """Yields the source after its destination has died in the middle; the guest goes on there."""
    source, destination = pair(t, source, destination)
    with source:
        with destination:
            source.wait_ready()
            t.fill_all(source)
            begin_work(t, source)
            migration = begin_slowly(t, source, destination)
            destination.process.kill()
            t.wait_for("the migration fails", lambda: migration.status().state == "failed")
        works_on(t, source.end())
        t.verify(source)
        t.expect_within_limit(source)
        yield source


def arrives(t, migration, destination):
    """Work goes on over there, every byte is right, and that was all."""
    works_on(t, migration.end())
    t.verify(destination)
    destination.power_off()


def move_at_work(t, source, destination, capabilities=(), **parameters):
    """In the middle of the work, which ends over there; verifies."""
    begin_work(t, source)
    works_on(t, move(t, source, destination, capabilities, **parameters).end())
    t.verify(destination)


def back_and_forth(t, rounds, ram=None):
    """That many migrations in a row under work; every byte is right after each. `moved`(source,
    destination) of each is yielded in between: for round in back_and_forth(...)."""
    with t.machine(ram=ram) as first, contextlib.ExitStack() as others:
        first.wait_ready()
        t.fill_all(first)
        here = first
        for _ in range(rounds):
            there = others.enter_context(t.machine(kind=incoming, ram=ram))
            here.begin(f"touch zipf seconds=1 writes=50 threads={t.cpus}")
            works_on(t, move(t, here, there).end())
            t.verify(there)
            yield here, there
            here.stop()
            here = there
        here.power_off()
