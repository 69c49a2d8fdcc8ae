# SPDX-License-Identifier: BSD-3-Clause
"""Memory that the guest gives up and takes back while it runs."""
DEVICE = ("-device", "virtio-balloon-pci,id=balloon")
REPORTING = ("-device", "virtio-balloon-pci,id=balloon,free-page-reporting=on")
MIB = 1 << 20


def set_balloon(t, vm, size):
    """Waits until the guest has so much memory."""
    vm.qmp.command("balloon", value=size)
    t.wait_for(f"a guest of {size // MIB} MiB",
               lambda: vm.qmp.command("query-balloon")["actual"] == size, 60)


def test_inflating_discards_and_deflating_is_safe(t):
    """Inflated pages are discarded; after deflating the guest uses all of its memory again."""
    with t.machine(devices=DEVICE) as vm:
        vm.wait_ready()
        t.fill_all(vm, "96M")
        before = t.library(vm)["discarded_pages"]
        set_balloon(t, vm, 224 * MIB)
        discarded = t.library(vm)["discarded_pages"] - before
        t.notes.append(f"{discarded} pages discarded")
        t.expect(discarded >= 150 * MIB // 4096, f"nearly all of 160 MiB discarded ({discarded})")
        t.verify(vm)
        set_balloon(t, vm, 384 * MIB)
        t.fill_all(vm)
        t.verify(vm)
        t.expect_within_limit(vm, devices=DEVICE)
        vm.power_off()


def test_reported_pages_are_discarded(t):
    """With free-page reporting the host learns of large pieces that the guest does not use."""
    with t.machine(devices=REPORTING) as vm:
        vm.wait_ready()
        t.fill_all(vm)
        before = t.library(vm)["discarded_pages"]
        vm.ask("shrink 0M")

        def discarded():
            return t.library(vm)["discarded_pages"] - before
        # How much of it is in pieces of 2 MiB, which is what the guest reports, is chance.
        t.wait_for("a quarter of 256 MiB discarded", lambda: discarded() >= 64 * MIB // 4096)
        t.notes.append(f"{discarded()} pages discarded")
        t.fill_all(vm)
        t.verify(vm)
        t.expect_within_limit(vm, devices=REPORTING)
        vm.power_off()
