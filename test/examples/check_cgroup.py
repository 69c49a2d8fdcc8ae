#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""check_cgroup.py LIMIT_MIB PROGRAM ARGUMENT...: runs a program whose library limit is LIMIT_MIB in
a memory control group without swap of LIMIT_MIB + 64 MiB: the kernel, as an outside observer of
the promise. Fails if the group ran out of memory or the program failed; 77 where no group can be
made."""

import contextlib
import os
import subprocess
import sys
import time

MIB = 1 << 20
SKIPPED = 77


class Group:
    """A memory control group of either version."""

    def __init__(self, limit):
        name = f"uffdmm-test-{os.getpid()}"
        if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
            self.path, self.names = f"/sys/fs/cgroup/{name}", ("memory.max", "memory.peak")
            self.events = "memory.events"
        else:
            self.path = f"/sys/fs/cgroup/memory/{name}"
            self.names = ("memory.limit_in_bytes", "memory.max_usage_in_bytes")
            self.events = "memory.oom_control"
        os.mkdir(self.path)
        try:
            self.write(self.names[0], limit)
            self.forbid_swap(limit)
        except OSError:
            self.remove()
            raise

    def forbid_swap(self, limit):
        """As far as this version of control groups has the knobs."""
        for name, value in (("memory.swap.max", 0), ("memory.memsw.limit_in_bytes", limit),
                            ("memory.swappiness", 0)):
            if os.path.exists(f"{self.path}/{name}"):
                with contextlib.suppress(OSError):
                    self.write(name, value)

    def write(self, name, value):
        """Sets a knob."""
        with open(f"{self.path}/{name}", "w", encoding="ascii") as knob:
            knob.write(str(value))

    def read(self, name):
        """The text of a knob."""
        with open(f"{self.path}/{name}", encoding="ascii") as knob:
            return knob.read()

    def oom_kills(self):
        """Processes that the kernel killed for lack of memory."""
        fields = dict(line.split() for line in self.read(self.events).splitlines())
        return int(fields.get("oom_kill", 0))

    def peak(self):
        """Most memory used, bytes, or None if this kernel does not tell."""
        with contextlib.suppress(OSError):
            return int(self.read(self.names[1]))
        return None

    def remove(self):
        """Ends the group; the kernel may need a moment after its last process."""
        for _ in range(50):
            with contextlib.suppress(OSError):
                os.rmdir(self.path)
                return
            time.sleep(0.1)


def main():
    """Runs the program and judges."""
    limit = int(sys.argv[1]) * MIB
    try:
        group = Group(limit + 64 * MIB)
    except OSError as error:
        print(f"skipped: no memory control group can be made: {error}")
        return SKIPPED
    try:
        def enter():
            group.write("cgroup.procs", os.getpid())
        run = subprocess.run(sys.argv[2:], preexec_fn=enter, check=False, timeout=300)
        kills, peak = group.oom_kills(), group.peak()
    finally:
        group.remove()
    print(f"exit status {run.returncode}, {kills} killed, peak "
          f"{'unknown' if peak is None else f'{peak // MIB} MiB'} of {limit // MIB + 64} MiB")
    return 1 if run.returncode != 0 or kills != 0 else 0


if __name__ == "__main__":
    sys.exit(main())
