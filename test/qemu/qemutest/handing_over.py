# SPDX-License-Identifier: BSD-3-Clause
"""Pages in a store that both sides read, which change hands with the guest: what tests of that have
in common."""
import re

from uffdmm_vm.migration import Migration

from .moving import begin_work, filled_pair, works_on

OPTION = "--migrate-locations"


def shared(t, name="store", **more):
    """RAM whose pages go to that store in the test's folder, and nowhere else unless told so."""
    options = {"options": (OPTION,)} if t.way == "runner" else {}
    return t.ram_by(**{"tiers": (f"shared:{t.folder}/{name}:1G",), **options, **more})


def shared_pair(t, **rams):
    """filled_pair, with one store for both unless told otherwise."""
    return filled_pair(t, **{"source": shared(t), "destination": shared(t), **rams})


def sent(vm, what="pages went as locations"):
    """Pages that the machine's migrations have sent as that."""
    return sum(map(int, re.findall(rf"(\d+) {what}", vm.errors())))


def located(t, vm):
    """Pages that the machine has sent by their locations."""
    return sent(vm) if t.way == "runner" else t.library(vm)["migration_locations"]


def expect_located(t, source, least=20000):
    """Most of the 48 Ki pages that do not fit the limit are."""
    if t.way == "runner":
        t.wait_for("it tells", lambda: "migration by locations:" in source.errors())
    count = located(t, source)
    t.notes.append(f"{count} locations")
    t.expect(count > least, f"most pages went as locations ({count})")


def send(source, destination, **parameters):
    """The guest has arrived and stands still; the source is done with it."""
    destination.qmp.command("stop")
    migration = Migration(source, destination, max_bandwidth=1 << 30, **parameters)
    for status in migration.run():
        pass
    if status.state != "completed":
        raise migration.failure(status)


def wait_paused(t, destination):
    """Until it has loaded everything."""
    t.wait_for("the guest is there",
               lambda: destination.qmp.command("query-status")["status"] == "paused")


def goes_on(t, destination):
    """The guest that has arrived is told to, and misses nothing."""
    wait_paused(t, destination)
    destination.qmp.command("cont")
    t.verify(destination)
    destination.power_off()


def one_side_runs(t):
    """Hands a guest over, and lets the one side and then the other run it first: yields (the one
    that does, the one that must not)."""
    for first in (0, 1):
        with shared_pair(t) as machines:
            send(*machines)
            wait_paused(t, machines[1])
            winner, loser = machines[first], machines[1 - first]
            winner.qmp.command("cont")
            yield winner, loser
            t.verify(winner)
            winner.power_off()


def refusal(t, source, destination):
    """What the destination says as it refuses; the source's guest goes on."""
    begin_work(t, source)
    migration = Migration(source, destination)
    t.expect(migration.refused() is not None, "the migration fails")
    t.expect(migration.status().normal_pages < 1000, "hardly a page was sent")
    destination.process.wait(30)
    works_on(t, source.end())
    t.verify(source)
    return destination.errors()
