# SPDX-License-Identifier: BSD-3-Clause
"""A guest's life while it is measured, the same on all sides."""
import dataclasses
import os
import time

from comparelib.cpu import parse_thread
from uffdmm_vm import MachineFailed
from uffdmm_vm.migration import Migration, Pace, incoming
from uffdmm_vm.sizes import parse_size


def cpu_seconds(machine):
    """CPU seconds of a QEMU so far: of its virtual CPU, of the library's threads, of the rest."""
    found = {"guest": 0.0, "library": 0.0, "rest": 0.0}
    tasks = f"/proc/{machine.process.pid}/task"
    for thread in os.listdir(tasks):
        try:
            with open(f"{tasks}/{thread}/stat", encoding="ascii", errors="replace") as file:
                text = file.read()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended since
        name = text[text.index("(") + 1:text.rindex(")")]
        kind = "guest" if name.startswith("CPU ") else \
            "library" if name.startswith("uffdmm") else "rest"
        found[kind] += parse_thread(text)[0]
    return found


class Meter:
    """Readings of counters at moments, and the differences between them."""

    def __init__(self, side, source, destination, pace):
        self.side = side
        self.machines = {"source": source, "destination": destination}
        self.pace = pace
        self.times, self.swap_ins, self.cpu = [], [], []

    def read(self):
        """Now."""
        self.swap_ins.append(self.side.swap_ins(self.machines["source"]))
        self.cpu.append({f"{place} {what}": seconds
                         for place, machine in self.machines.items()
                         for what, seconds in cpu_seconds(machine).items()})
        self.times.append(time.monotonic())

    def between(self, first, name):
        """Figures of the time between that reading and the next one; `name` goes into theirs."""
        begin, end = self.times[first:first + 2]
        return {f"pace {name}": self.pace.between(begin, end),
                f"swap-ins {name}": self.swap_ins[first + 1] - self.swap_ins[first],
                f"seconds {name}": end - begin}

    def cpu_between(self, first):
        """CPU seconds of that time."""
        early, late = self.cpu[first:first + 2]
        return {f"CPU s {what}": late[what] - early[what] for what in late}


def measure_cancelled(side, source, destination, pace):
    """Figures around a slow migration that is cancelled."""
    setting, meter = side.setting, Meter(side, source, destination, pace)
    source.begin(setting.work(setting.settle + 3 * setting.seconds + 3))
    time.sleep(setting.settle)
    meter.read()
    time.sleep(setting.seconds)
    meter.read()
    migration = Migration(source, destination, max_bandwidth=parse_size(setting.slow))
    migration.begin()
    time.sleep(setting.seconds)
    meter.read()
    sent = migration.status().sent
    migration.cancel()
    meter.read()
    time.sleep(setting.seconds)
    meter.read()
    source.end()
    return {"sent": sent, **meter.between(0, "before"), **meter.between(1, "during"),
            **meter.between(3, "after"), **meter.cpu_between(1)}


def measure_move(side, source, destination, pace):
    """Figures of a migration of the guest at work."""
    setting, meter = side.setting, Meter(side, source, destination, pace)
    source.begin(setting.work(setting.settle + 2 * setting.seconds))
    time.sleep(setting.settle)
    meter.read()
    time.sleep(setting.seconds)
    meter.read()
    migration = Migration(source, destination, max_bandwidth=parse_size(setting.bandwidth))
    status = migration.complete()
    meter.read()
    locations = side.locations(source)
    migration.end()
    figures = {"total s": status.seconds, "downtime s": status.downtime, "sent": status.sent,
               "pages sent": status.normal_pages, "zero pages": status.zero_pages,
               "locations sent": locations,
               "rounds": status.rounds,
               **meter.between(0, "before"), **meter.between(1, "during"), **meter.cpu_between(1)}
    expected = figures["swap-ins before"] * figures["seconds during"] / figures["seconds before"]
    return {**figures,
            "swap-ins by migration": max(0, figures["swap-ins during"] - expected)}


@dataclasses.dataclass
class Life:
    """Figures by name; `peaks`: bytes that the source's and the destination's group took."""
    cancelled: dict
    moved: dict
    peaks: list


def live(side):
    """A guest that fills its memory, is nearly migrated, and is migrated."""
    pace = Pace()
    with side.machine(0, told=pace.told) as source:
        source.wait_ready()
        source.ask(f"fill {side.setting.fill}", timeout=300)
        with side.machine(1, incoming) as unused:
            cancelled = measure_cancelled(side, source, unused, pace)
        with side.machine(1, incoming, told=pace.told) as destination:
            moved = measure_move(side, source, destination, pace)
            source.stop()
            if destination.ask("verify", timeout=600).bad:
                raise MachineFailed(f"{side.name}: wrong pages after the migration")
            peaks = side.peaks()
            destination.power_off(120)
    return Life(cancelled, moved, peaks)
