# SPDX-License-Identifier: BSD-3-Clause
"""What holds for a whole run."""
import dataclasses

from uffdmm_vm import Backend, Plain
from uffdmm_vm.sizes import parse_size

NAMED_THREADS = ("-name", "guest,debug-threads=on")


@dataclasses.dataclass(frozen=True)
class Setting:
    """Sizes as texts, as QEMU takes them. `seconds`: of each window that is measured; `settle`:
    of work before the first. `bandwidth`: most bytes a second on the wire of the migration that
    arrives; `slow`: of the one that is cancelled."""
    qemu: str
    memory: str = "1G"
    limit: str = "256M"
    fill: str = "850M"
    writes: int = 5
    seconds: int = 10
    settle: int = 10
    bandwidth: str = "4G"
    slow: str = "32M"
    directory: str = "/var/tmp"
    options: tuple = ()

    def library(self, tier):
        """A QEMU with the backend."""
        return Backend(qemu=self.qemu, limit=self.limit, options=self.options, tiers=(tier,),
                       arguments=NAMED_THREADS)

    def private_tier(self):
        """A file of one QEMU's own."""
        return f"file:{self.directory}:{self.memory}"

    def shared_tier(self, folder):
        """A file there that both QEMUs use, with room for what each may put into it."""
        return f"shared:{folder}/store:{3 * parse_size(self.memory)}"

    def plain(self):
        """The same QEMU, with RAM of its own."""
        ram = f"memory-backend-ram,id=ram0,size={self.memory}"
        return Plain(qemu=self.qemu, arguments=("-object", ram, "-machine", "memory-backend=ram0",
                                                *NAMED_THREADS))

    def swap_size(self):
        """Bytes, for both machines."""
        return 3 * parse_size(self.memory)

    def work(self, seconds):
        """What the guest is told to do for so long."""
        return f"touch zipf seconds={seconds} writes={self.writes} period=0.1"
