# SPDX-License-Identifier: BSD-3-Clause
"""memory-backend-uffdmm among QEMU's other parts: memory hotplug, dumps, snapshots."""
import json
import os

from uffdmm_vm import Backend, Machine
from uffdmm_vm.qmp import QmpError

WAYS = ("backend",)
CPUS = (1,)
MIB = 1 << 20
# Tiers account for metadata once they have it.
SLACK = MIB // 4


class Hotplug(Backend):
    """The same with room for more memory."""

    def command(self, memory, folder):
        words = super().command(memory, folder)
        words[words.index("-m") + 1] = f"{memory},slots=2,maxmem=1G"
        return words


class Onlining(Machine):
    """Its kernel uses memory that is plugged, for what it can move away again."""

    def command_line(self, *arguments):
        words = super().command_line(*arguments)
        words[words.index("-append") + 1] += " memhp_default_state=online_movable"
        return words


def growing_machine(t):
    """A guest with room for more memory."""
    way = t.ram_by()
    return t.machine(Onlining, Hotplug(qemu=way.qemu, limit=way.limit, tiers=way.tiers))


def total(vm):
    """Bytes of memory that the guest's kernel has."""
    return vm.ask("memory").number("total")


def add_backend(t, vm):
    """128 MiB more, `more`, with a limit and a tier of its own."""
    vm.qmp.command("object-add", qom_type="memory-backend-uffdmm", id="more", size=128 * MIB,
                   limit=32 * MIB,
                   tiers=[{"kind": "file", "path": str(t.folder), "size": 256 * MIB}])


def expect_used(t, vm, fill):
    """The guest fills more than it had, which the added backend keeps within its own limit."""
    t.fill_all(vm, fill)
    t.verify(vm)
    stats = vm.qmp.command("qom-get", path="/objects/more", property="stats")
    t.notes.append(f"{stats['swapped-out']} of its pages out")
    t.expect(stats["swapped-out"] > 10000, f"pages are swapped out: {stats['swapped-out']}")
    t.expect(stats["peak-host-memory-bytes"] <= 32 * MIB + SLACK, "within its own limit")


def expect_in_use(t, vm, name):
    """A backend that is in use is not deleted."""
    try:
        vm.qmp.command("object-del", id=name)
        t.expect(False, f"{name}, which is in use, is not deleted")
    except QmpError as error:
        t.expect("in use" in str(error), f"{error}")


def test_hotplugged_memory(t):
    """A DIMM on a backend of its own is plugged, used, unplugged, and its backend deleted."""
    with growing_machine(t) as vm:
        vm.wait_ready()
        before = total(vm)
        add_backend(t, vm)
        vm.qmp.command("device_add", driver="pc-dimm", id="dimm", memdev="more")
        t.wait_for("the guest has it", lambda: total(vm) >= before + 120 * MIB)
        expect_in_use(t, vm, "more")
        expect_used(t, vm, "300M")
        vm.ask("shrink 100M")
        vm.qmp.command("device_del", id="dimm")
        vm.qmp.wait_event("DEVICE_DELETED", 60)
        vm.qmp.command("object-del", id="more")
        t.expect(total(vm) == before, "the guest has what it had")
        t.verify(vm)
        vm.power_off()


def test_virtio_mem(t):
    """virtio-mem grows and shrinks the guest; what it unplugs is discarded."""
    with growing_machine(t) as vm:
        vm.wait_ready()
        before = total(vm)
        add_backend(t, vm)
        vm.qmp.command("device_add", driver="virtio-mem-pci", id="vmem", memdev="more",
                       requested_size=128 * MIB)
        t.wait_for("the guest has it", lambda: total(vm) >= before + 120 * MIB)
        expect_in_use(t, vm, "more")
        expect_used(t, vm, "300M")
        vm.ask("shrink 100M")
        vm.qmp.command("qom-set", path="/machine/peripheral/vmem", property="requested-size",
                       value=0)
        t.wait_for("it is given back", lambda: total(vm) == before)
        stats = vm.qmp.command("qom-get", path="/objects/more", property="stats")
        t.expect(stats["resident-bytes"] == 0, f"nothing resident: {stats['resident-bytes']}")
        t.expect(sum(tier["pages"] for tier in stats["tiers"]) == 0, "nothing in a tier")
        t.verify(vm)
        vm.power_off()


def test_a_deleted_backend_is_gone(t):
    """A backend that nothing uses is deleted with its threads and its file."""
    with t.machine() as vm:
        vm.wait_ready()
        threads = len(os.listdir(f"/proc/{vm.process.pid}/task"))
        for _ in range(5):
            vm.qmp.command("object-add", qom_type="memory-backend-uffdmm", id="more",
                           size=64 * MIB, limit=16 * MIB)
            t.expect(len(os.listdir(f"/proc/{vm.process.pid}/task")) > threads, "it has threads")
            vm.qmp.command("object-del", id="more")
        left = len(os.listdir(f"/proc/{vm.process.pid}/task"))
        t.expect(left <= threads, f"{threads} threads before, {left} after")
        t.fill_all(vm)
        t.verify(vm)
        vm.power_off()


def test_dump(t):
    """Guest RAM is in a dump, what is swapped out too, and the dump stays within the limit."""
    with t.machine() as vm:
        vm.wait_ready()
        t.fill_all(vm)
        path = t.folder / "dump"
        vm.qmp.command("dump-guest-memory", paging=False, protocol=f"file:{path}")
        size = path.stat().st_size
        t.expect(size >= 384 * MIB, f"all of it is in the dump ({size // MIB} MiB)")
        with open(path, "rb") as file:
            t.expect(file.read(4) == b"\x7fELF", "an ELF core file")
        filled = sum(1 for page in pages_of(path) if any(page))
        t.notes.append(f"{filled} pages not zero")
        t.expect(filled >= 120 * MIB // 4096, f"with the guest's pages in it ({filled})")
        path.unlink()
        t.verify(vm)
        held = t.library(vm)["peak_host_memory_bytes"]
        t.expect(held <= 64 * MIB + SLACK, f"made within the limit ({held / MIB:.1f} MiB)")
        vm.power_off()


def pages_of(path):
    """Pieces of the size of a page."""
    with open(path, "rb") as file:
        while page := file.read(4096):
            yield page


def test_shared(t):
    """share=on works as well, and keeps within the limit."""
    way = t.ram_by(options=("share=on", "shards=2", "eviction=second-chance", "prefetch=off"))
    with t.machine(ram=way) as vm:
        vm.wait_ready()
        t.fill_all(vm)
        vm.ask("touch uniform seconds=1 writes=40")
        t.verify(vm)
        t.expect_swapping(vm)
        peak = t.library(vm)["peak_host_memory_bytes"]
        t.expect(peak <= 64 * MIB + SLACK, f"within the limit ({peak / MIB:.2f} MiB)")
        vm.power_off()


def test_configuration_file(t):
    """config= gives the limit and the tiers; limit= overrides the limit in it."""
    path = t.folder / "config"
    path.write_text(json.dumps({"limit": "200M", "tiers": [
        {"kind": "ram", "name": "fast", "size": "16M", "compression": "zstd"},
        {"kind": "file", "name": "slow", "path": str(t.folder), "size": "512M"}]}))
    way = t.ram_by(tiers=(), options=(f"config={path}",))
    with t.machine(ram=way) as vm:
        vm.wait_ready()
        t.fill_all(vm)
        t.verify(vm)
        stats = t.library(vm)
        t.expect(stats["limit_bytes"] == 64 * MIB, "limit= wins")
        t.expect([tier["name"] for tier in stats["tiers"]] == ["same-filled", "fast", "slow"],
                 "the file's tiers")
        vm.power_off()


def test_snapshot_in_the_background_is_refused(t):
    """Background snapshots, which need the page faults for themselves, are refused."""
    with t.machine() as vm:
        vm.wait_ready()
        capabilities = [{"capability": "background-snapshot", "state": True}]
        try:
            vm.qmp.command("migrate-set-capabilities", capabilities=capabilities)
            t.expect(False, "it is refused")
        except QmpError as error:
            t.expect("not compatible with guest memory configuration" in str(error), f"{error}")
        t.fill_all(vm)
        t.verify(vm)
        vm.power_off()


def test_postcopy_is_refused(t):
    """Being the destination of postcopy, which needs the page faults for itself, is refused."""
    with t.machine(devices=("-incoming", "defer")) as vm:
        capabilities = [{"capability": "postcopy-ram", "state": True}]
        try:
            vm.qmp.command("migrate-set-capabilities", capabilities=capabilities)
            t.expect(False, "it is refused")
        except QmpError as error:
            t.notes.append(str(error))
            t.expect("ostcopy is not supported" in f"{error} {vm.errors()}", f"{error}")
