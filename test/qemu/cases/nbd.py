# SPDX-License-Identifier: BSD-3-Clause
"""A guest whose swapped pages are on an NBD server."""
from qemutest.nbd import NbdServer
from uffdmm_vm.sizes import parse_size

CPUS = (1,)


def test_a_server_that_crashes(t):
    """The server is killed and started again under work: every byte is right."""
    with NbdServer(t.folder, parse_size(t.memory)) as server:
        with t.machine(ram=t.ram_by(tiers=(f"nbd:{server.uri}",))) as vm:
            vm.wait_ready()
            t.fill_all(vm)
            vm.begin(f"touch uniform touches=20000 writes=40 threads={t.cpus}")
            server.kill()
            t.wait_for("the tier is away", lambda: nbd_tier(t, vm)["degraded"])
            server.start()
            t.expect(vm.end().bad == 0, "the work goes on without a wrong page")
            t.verify(vm)
            tier = nbd_tier(t, vm)
            t.expect(tier["pages"] > 10000, f"most of it is there ({tier['pages']} pages)")
            t.expect(tier["corrupt"] == 0, "no page came back wrong")
            t.expect_within_limit(vm)
            vm.power_off()


def nbd_tier(t, vm):
    """Its statistics; it is the last."""
    return t.library(vm)["tiers"][-1]
