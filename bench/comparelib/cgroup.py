# SPDX-License-Identifier: BSD-3-Clause
"""A memory control group of either version."""
import contextlib
import errno
import os

from .knobs import fields_of, read_knob, write_knob

PREFIX = "uffdmm-compare"
UNLIMITED = {1: -1, 2: "max"}


def find_hierarchy(mounts="/proc/self/mounts"):
    """(directory, version) of the hierarchy that limits memory, or None."""
    with open(mounts, encoding="utf-8") as file:
        rows = [line.split() for line in file]
    for _, path, kind, options, *_ in rows:
        if kind == "cgroup" and "memory" in options.split(","):
            return path, 1
    for _, path, kind, *_ in rows:
        controllers = f"{path}/cgroup.controllers"
        if kind == "cgroup2" and os.path.exists(controllers):
            if "memory" in read_knob(controllers).split():
                return path, 2
    return None


def can_limit_zswap():
    """Whether groups can limit what zswap holds for them: those of version 2."""
    found = find_hierarchy()
    return bool(found) and found[1] == 2 and os.path.exists("/sys/module/zswap")


class MemoryGroup:
    """The knobs of one group. Processes enter by enter_command()."""

    NAMES = {
        1: {"usage": "memory.usage_in_bytes", "limit": "memory.limit_in_bytes",
            "events": "memory.oom_control"},
        2: {"usage": "memory.current", "limit": "memory.max", "events": "memory.events"},
    }

    def __init__(self, path, version):
        self.path = path
        self.version = version
        self.names = self.NAMES[version]

    def usage(self):
        """Bytes charged now."""
        return int(read_knob(f"{self.path}/{self.names['usage']}"))

    def set_limit(self, size):
        """Bytes, or None for no limit. Returns whether the kernel could free enough for it."""
        value = UNLIMITED[self.version] if size is None else int(size)
        try:
            write_knob(f"{self.path}/{self.names['limit']}", value)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            return False
        return True

    def oom_kills(self):
        """Processes of the group that were killed for lack of memory."""
        return fields_of(f"{self.path}/{self.names['events']}").get("oom_kill", 0)

    def charged_zswap(self):
        """Bytes of zswap's pool that usage() contains: version 1 charges nobody for it."""
        if self.version == 1:
            return 0
        return fields_of(f"{self.path}/memory.stat").get("zswap", 0)

    def limit_zswap(self, size):
        """Bytes that zswap may hold for the group, where it can be limited."""
        if self.version == 2:
            write_knob(f"{self.path}/memory.zswap.max", int(size))

    def enter_command(self, command):
        """The command, changed so that it runs in the group from its first page on."""
        enter = 'echo $$ >"$0/cgroup.procs" && exec "$@"'
        return ["/bin/sh", "-c", enter, self.path, *command]


@contextlib.contextmanager
def controller_enabled(journal, top, version):
    """Groups of version 2 have the knobs of a controller only where the parent hands it down."""
    knob = f"{top}/cgroup.subtree_control"
    if version == 1 or "memory" in read_knob(knob).split():
        yield
        return
    with journal.change("write", knob, "-memory"):
        write_knob(knob, "+memory")
        yield


@contextlib.contextmanager
def memory_group(journal, limit=None, name=None, hierarchy=None):
    """A group for the time of the block; what runs in it at the end is killed."""
    top, version = hierarchy or find_hierarchy()
    path = f"{top}/{name or f'{PREFIX}-{os.getpid()}'}"
    with controller_enabled(journal, top, version), journal.change("group", path):
        os.mkdir(path)
        group = MemoryGroup(path, version)
        group.set_limit(limit)
        yield group
