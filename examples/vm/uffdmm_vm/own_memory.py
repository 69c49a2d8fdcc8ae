# SPDX-License-Identifier: BSD-3-Clause
"""What QEMU takes beside the guest's RAM, watched on a plain one."""
import threading

from .memory import guest_ram, memory_of

PERIOD = 0.1


class OwnMemory(threading.Thread):
    """The most bytes (`peak`) from start to end of a block, and the last ones. `memory`: bytes of
    guest RAM. `taken`: a function that returns all that is taken; the process's resident memory
    unless told otherwise."""

    def __init__(self, pid, memory, taken=None):
        super().__init__(daemon=True)
        self.pid = pid
        self.memory = memory
        self.taken = taken or (lambda: memory_of(pid).rss)
        self.peak = 0
        self.last = 0
        self.ending = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_error):
        self.ending.wait(3 * PERIOD)
        self.ending.set()
        self.join()

    def run(self):
        while not self.ending.wait(PERIOD):
            try:
                self.look()
            except (OSError, KeyError):
                return

    def look(self):
        """Once. RAM that the guest takes between two readings of it makes the sample worthless."""
        before = guest_ram(self.pid, self.memory)
        taken = self.taken()
        if guest_ram(self.pid, self.memory) == before:
            self.last = taken - before
            self.peak = max(self.peak, self.last)
