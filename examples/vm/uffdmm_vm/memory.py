# SPDX-License-Identifier: BSD-3-Clause
"""Memory of a process: all of it, and that part of it which is the guest's RAM."""
import dataclasses
import re

MAPPING = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \S+\s*(.*)$")
FIELD = re.compile(r"^(\w+):\s+(\d+) kB$")


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes. `peak`: the most there has been since the start or the last reset_peak()."""
    rss: int
    peak: int
    swap: int
    shared: int


def status(pid):
    """{name: bytes} of /proc/PID/status."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        found = (FIELD.match(line) for line in file)
        return {field[1]: int(field[2]) << 10 for field in found if field}


def memory_of(pid):
    """Of a process that is there."""
    fields = status(pid)
    return Memory(rss=fields["VmRSS"], peak=fields["VmHWM"], swap=fields.get("VmSwap", 0),
                  shared=fields["RssShmem"])


def reset_peak(pid):
    """The peak starts again at what is there now."""
    with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


@dataclasses.dataclass
class Mapping:
    """One line of /proc/PID/smaps and what follows it, in bytes."""
    size: int
    name: str
    fields: dict

    @property
    def resident(self):
        """Bytes of it in memory."""
        return self.fields.get("Rss", 0)


def mappings(pid):
    """All of a process."""
    found = []
    with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as file:
        for line in file:
            if head := MAPPING.match(line):
                size = int(head[2], 16) - int(head[1], 16)
                found.append(Mapping(size, head[3].strip(), {}))
            elif field := FIELD.match(line):
                found[-1].fields[field[1]] = int(field[2]) << 10
    return found


def guest_ram(pid, size):
    """The resident bytes of plain QEMU's guest RAM: its mapping has exactly that size, unless the
    kernel made one mapping of it and its neighbour."""
    return max((m.resident for m in mappings(pid) if m.size >= size and m.name in ("", "[anon]")),
               default=0)
