# SPDX-License-Identifier: BSD-3-Clause
"""What QEMU takes for itself, measured on a plain one that does what the tests do."""
import functools

from uffdmm_vm import Machine, Plain
from uffdmm_vm.own_memory import OwnMemory
from uffdmm_vm.sizes import parse_size


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
    return own.peak


def work(vm, cpus):
    """A little of everything that tests do."""
    for command in ("fill 60%", "verify", "touch zipf seconds=1 writes=50"):
        vm.ask(f"{command} threads={cpus}")
