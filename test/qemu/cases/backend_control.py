# SPDX-License-Identifier: BSD-3-Clause
"""memory-backend-uffdmm: what the monitor can ask for and change while the guest runs."""
from uffdmm_vm.qmp import QmpError

WAYS = ("backend",)
MIB = 1 << 20
# Tiers account for metadata once they have it.
SLACK = MIB // 4
PATH = "/objects/ram0"


def get(vm, name):
    """A property of the backend."""
    return vm.qmp.command("qom-get", path=PATH, property=name)


def put(vm, name, value):
    """The same."""
    vm.qmp.command("qom-set", path=PATH, property=name, value=value)


def refused(t, what, vm, name, value):
    """The message."""
    try:
        put(vm, name, value)
    except QmpError as error:
        return str(error)
    t.expect(False, f"{what} is refused")
    return ""


def test_limit_changes_under_work(t):
    """The limit goes down and up while the guest works, and memory follows; no byte is lost."""
    with t.machine() as vm:
        vm.wait_ready()
        t.fill_all(vm)
        vm.begin(f"touch uniform seconds=6 writes=40 threads={t.cpus}")
        for limit in (48, 128, 40, 64):
            put(vm, "limit", limit * MIB)
            t.expect(get(vm, "limit") == limit * MIB, "the limit is what it was set to")
            held = t.library(vm)["host_memory_bytes"]
            t.expect(held <= limit * MIB + SLACK,
                     f"{held / MIB:.1f} MiB held at a limit of {limit} MiB")
        t.expect(vm.end().bad == 0, "no page that was touched is wrong")
        t.verify(vm)
        t.expect_swapping(vm)
        vm.power_off()


def test_limit_is_refused(t):
    """A limit that can't be is refused by a message, and the old one stays."""
    with t.machine() as vm:
        vm.wait_ready()
        found = refused(t, "a limit of 1 MiB", vm, "limit", MIB)
        t.expect("limit" in found and "allowed" in found, found)
        found = refused(t, "a limit of 0", vm, "limit", 0)
        t.expect("'limit'" in found and "doesn't take value '0'" in found, found)
        t.expect(get(vm, "limit") == 64 * MIB, "the limit is what it was")
        vm.power_off()


def test_options_stay(t):
    """What only makes sense at the start can't be changed later, by a message that names it."""
    with t.machine() as vm:
        for name, value in (("tiers", [{"kind": "ram"}]), ("config", "/etc/x"), ("shards", 2),
                            ("eviction", "fifo"), ("prefetch", "off"), ("when-full", "wait")):
            found = refused(t, name, vm, name, value)
            t.expect(f"cannot change property '{name}'" in found, found)
        t.expect([tier["kind"] for tier in get(vm, "tiers")] == ["ram", "file"], "tiers are told")


def test_evict(t):
    """Memory that is told to go out goes, and comes in again right."""
    with t.machine(ram=t.ram_by(limit="384M")) as vm:
        vm.wait_ready()
        t.fill_all(vm, "192M")
        vm.qmp.command("stop")
        before = t.library(vm)
        put(vm, "evict", {"offset": 0, "length": 384 * MIB})
        after = t.library(vm)
        out = before["resident_bytes"] - after["resident_bytes"]
        t.notes.append(f"{out // MIB} MiB out")
        t.expect(out >= 150 * MIB, f"at least 150 MiB went out ({out / MIB:.1f})")
        vm.qmp.command("cont")
        t.verify(vm)
        found = refused(t, "an odd range", vm, "evict", {"offset": 1, "length": 4096})
        t.expect("4096" in found, found)
        vm.power_off()


def test_statistics(t):
    """Statistics add up: tiers by name, memory within the limit, faults with their times."""
    with t.machine() as vm:
        vm.wait_ready()
        t.fill_all(vm)
        found = get(vm, "stats")
        t.expect([tier["name"] for tier in found["tiers"]] == ["same-filled", "ram0", "file1"],
                 f"the tiers: {[tier['name'] for tier in found['tiers']]}")
        t.expect(found["region-bytes"] == 384 * MIB, "the size of the region")
        t.expect(found["limit-bytes"] == 64 * MIB, "the limit")
        held, peak = found["host-memory-bytes"], found["peak-host-memory-bytes"]
        t.expect(held <= peak <= 64 * MIB + SLACK,
                 f"memory now, at most, and the limit: {held}, {peak}")
        t.expect(0 < found["fault-p50-ns"] <= found["fault-p99-ns"], "times of faults")
        t.expect(sum(tier["writes"] for tier in found["tiers"]) > 0, "tiers are written")
        vm.power_off()


def test_a_full_tier_is_told(t):
    """An event tells of a tier that is full; memory past the limit is told as well."""
    tiers = (f"file:{t.folder}:16M",)
    with t.machine(ram=t.ram_by(tiers=tiers)) as vm:
        vm.wait_ready()
        t.fill_all(vm, "200M")
        event = vm.qmp.wait_event("UFFDMM_TIER_STATE")["data"]
        t.expect(event["qom-path"] == PATH and event["tier"] == "file0" and event["degraded"],
                 f"the tier and its backend are named: {event}")
        vm.qmp.wait_event("UFFDMM_OVER_LIMIT")
        t.verify(vm)
        vm.power_off()
