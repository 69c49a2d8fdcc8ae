# SPDX-License-Identifier: BSD-3-Clause
"""Memory in a control group that stands for what the kernel holds on its behalf, uncharged."""
import os
import subprocess

from .cpu import parse_thread
from .knobs import read_knob


class Ballast:
    """A process of the group that takes as much memory as it is told, and is never swapped.

    Not thread-safe: one thread resizes.
    """

    def __init__(self, group, program):
        self.size = 0
        self.process = subprocess.Popen(group.enter_command([program]), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.resize(0)

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.process.kill()
        self.process.communicate()

    def resize(self, size):
        """Returns once it takes so many bytes. Raises OSError where it cannot."""
        try:
            self.process.stdin.write(f"{size}\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise OSError(f"{os.path.basename(str(self.process.args[-1]))} ended")
        self.size = size

    def cpu(self):
        """Seconds it used: it reclaims as it grows."""
        return parse_thread(read_knob(f"/proc/{self.process.pid}/stat"))[0]
