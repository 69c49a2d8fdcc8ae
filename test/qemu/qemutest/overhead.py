# SPDX-License-Identifier: BSD-3-Clause
"""What QEMU takes for itself, measured on a plain one that does what the tests do."""
import functools
import threading

from uffdmm_vm import Machine, Plain
from uffdmm_vm.memory import guest_ram, memory_of
from uffdmm_vm.sizes import parse_size

PERIOD = 0.1


class OwnMemory(threading.Thread):
    """The most bytes a plain QEMU takes beside the guest's RAM, from start to end of a block."""

    def __init__(self, pid, memory):
        super().__init__(daemon=True)
        self.pid = pid
        self.memory = memory
        self.peak = 0
        self.ending = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_error):
        self.ending.set()
        self.join()

    def run(self):
        while not self.ending.wait(PERIOD):
            try:  # RAM first: what the guest takes in between must not look like QEMU's
                ram = guest_ram(self.pid, self.memory)
                self.peak = max(self.peak, memory_of(self.pid).rss - ram)
            except (OSError, KeyError):
                return


@functools.cache
def own_memory(image, qemu, memory, cpus, devices, reboots):
    """Bytes. `reboots`: what it takes then, which is more: code is translated anew."""
    with Machine(image, Plain(qemu=qemu), memory=memory, cpus=cpus, devices=devices,
                 reboots=reboots) as vm:
        with OwnMemory(vm.process.pid, parse_size(memory)) as own:
            vm.wait_ready()
            work(vm, cpus)
            if reboots:
                vm.begin("reboot")
                vm.wait_ready()
                work(vm, cpus)
            own.ending.wait(3 * PERIOD)
    return own.peak


def work(vm, cpus):
    """A little of everything that tests do."""
    for command in ("fill 60%", "verify", "touch zipf seconds=1 writes=50"):
        vm.ask(f"{command} threads={cpus}")
