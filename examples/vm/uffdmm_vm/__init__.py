# SPDX-License-Identifier: BSD-3-Clause
"""Virtual machines for the demo, the tests and the benchmarks: a guest and QEMU, three ways.

    image = guest_image()                                   # kernel and initrd, from the cache
    way = Runner(limit="256M")                              # or Plain(), or Backend(path, ...)
    with Machine(image, way, memory="1G", cpus=1) as vm:
        vm.wait_ready()
        vm.ask("fill 90%")                                  # commands: guest/commands.h
        vm.ask("touch zipf seconds=10 writes=30")
        assert vm.ask("verify").bad == 0
        vm.memory().rss, vm.memory().peak                   # bytes of the QEMU process
        vm.qmp.command("query-balloon")
        vm.power_off()

Standard library only. Whatever a block started is gone at its end.
"""
from .image import GuestImage, guest_image
from .machine import Answer, Machine, MachineFailed
from .memory import Memory, memory_of
from .packages import Unobtainable
from .ways import Backend, Plain, Runner, has_kvm

__all__ = ["Answer", "Backend", "GuestImage", "Machine", "MachineFailed", "Memory", "Plain",
           "Runner", "Unobtainable", "guest_image", "has_kvm", "memory_of"]
