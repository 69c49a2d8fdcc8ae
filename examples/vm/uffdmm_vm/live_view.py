# SPDX-License-Identifier: BSD-3-Clause
"""A guest at work as the host sees it: redrawn in a terminal, a line now and then elsewhere."""
import dataclasses
import shutil
import sys
import threading
import time

from .machine import Report
from .sizes import mib, short
from .statistics import statistics

TERMINAL_PERIOD = 0.5
LINE_PERIOD = 2
BAR = 28
PAGE = 4096


@dataclasses.dataclass
class Sample:
    """At one moment of time.monotonic(): bytes of the process, and the library's statistics."""
    at: float
    process: int
    library: dict

    @property
    def own(self):
        """Bytes of QEMU itself."""
        return self.process - self.library["host_memory_bytes"]


def sample(vm):
    """Takes one; OSError or KeyError: QEMU is about to end."""
    library = statistics(vm)["library"]
    return Sample(time.monotonic(), vm.memory().rss, library)


def rate(now, before, key):
    """Events a second between two samples, as text."""
    passed = now.at - before.at if before else 0
    return short((now.library[key] - before.library[key]) / passed if passed > 0 else 0) + "/s"


def swapped(library):
    """[(tier, MiB of guest memory it holds as text)]."""
    return [(tier["name"], mib(tier["pages"] * PAGE)) for tier in library["tiers"]]


def bar(part, whole):
    """[####....]"""
    filled = min(BAR, round(BAR * part / max(whole, 1)))
    return f"[{'#' * filled}{'.' * (BAR - filled)}]"


class Guest:
    """What the guest said last: its phase and how fast that goes. Lines come in by told()."""

    def __init__(self):
        self.report = None
        self.before = None

    def told(self, line):
        """For Machine."""
        found = Report.parse(line)
        if found and found.name in ("progress", "result"):
            goes_on = found.name == "progress" and self.report and \
                self.report.values["phase"] == found.values["phase"]
            self.before = self.report if goes_on else None
            self.report = found

    def number(self, report, key):
        """Of a report, 0 where there is none."""
        return float(report.values[key]) if report else 0.0

    def text(self):
        """For people."""
        if self.report is None:
            return "boots"
        pages, seconds = (self.number(self.report, key) - self.number(self.before, key)
                          for key in ("pages", "seconds"))
        speed = short(pages / seconds if seconds > 0 else 0)
        done, most = (int(self.number(self.report, key)) for key in ("pages", "of"))
        values = self.report.values
        part = f" {100 * done // most:3d} %" if most else ""
        return f"{values['phase']}{part}, {speed} pages/s, {values['bad']} wrong"


class LiveView(threading.Thread):
    """Samples and shows, from start to end of the block. `own_peak`: the most bytes that QEMU
    itself took in any sample."""

    def __init__(self, vm, guest, begin, out=sys.stdout):
        super().__init__(daemon=True)
        self.vm = vm
        self.guest = guest
        self.begin = begin
        self.out = out
        self.terminal = out.isatty()
        self.ending = threading.Event()
        self.before = None
        self.own_peak = 0
        self.drawn = 0

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_error):
        self.ending.set()
        self.join()
        if kind is None:
            self.step()

    def run(self):
        period = TERMINAL_PERIOD if self.terminal else LINE_PERIOD
        while not self.ending.wait(period):
            try:
                self.step()
            except (OSError, KeyError):  # QEMU has ended: the main thread says why
                return

    def step(self):
        """One picture."""
        now = sample(self.vm)
        self.own_peak = max(self.own_peak, now.own)
        if self.terminal:
            self.redraw(self.picture(now))
        else:
            print(self.line(now), file=self.out, flush=True)
        self.before = now

    def line(self, now):
        """All in one."""
        library = now.library
        out = ", ".join(f"{name} {amount}" for name, amount in swapped(library))
        return (f"{now.at - self.begin:4.0f} s  {self.guest.text():<37}  "
                f"host {mib(library['host_memory_bytes']):>3} of {mib(library['limit_bytes'])} MiB"
                f"  faults {rate(now, self.before, 'faults'):>7}  swapped MiB: {out}")

    def picture(self, now):
        """Lines for a terminal."""
        library = now.library
        taken, limit = (library[f"{name}_bytes"] for name in ("host_memory", "limit"))
        parts = " · ".join(f"{name} {mib(library[f'{name}_bytes'])}"
                           for name in ("resident", "staged", "compressed", "metadata"))
        out = " · ".join(f"{name} {amount}" for name, amount in swapped(library))
        return [
            f"  {now.at - self.begin:5.0f} s   guest: {self.guest.text()}",
            f"  host memory for its RAM  {bar(taken, limit)}  {mib(taken)} of {mib(limit)} MiB",
            f"      {parts}",
            f"  swapped out, MiB         {out}",
            f"  faults {rate(now, self.before, 'faults')} · evicted pages "
            f"{rate(now, self.before, 'evicted_pages')} · QEMU itself {mib(now.own)} MiB",
        ]

    def redraw(self, lines):
        """In the place of the last picture."""
        width = shutil.get_terminal_size().columns
        up = f"\x1b[{self.drawn}A" if self.drawn else ""
        body = "".join(f"\x1b[2K{line[:width - 1]}\n" for line in lines)
        self.out.write(up + body)
        self.out.flush()
        self.drawn = len(lines)
