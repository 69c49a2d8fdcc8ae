# SPDX-License-Identifier: BSD-3-Clause
"""Equal memory: what a control group may use follows from what the kernel holds outside of it.

The kernel charges a group neither for zram nor (in version 1) for zswap. So a thread puts as much
ballast into the group as they hold, under a fixed limit, and records both.
"""
import dataclasses
import threading
import time

from .sizes import PAGE

PERIOD = 0.025
DAMPING = 0.8
IDLE_BAND = 0.002
MOST = 0.95


def next_ballast(ballast, budget, held):
    """One step of the ballast's size towards `held`, in bytes.

    More ballast makes pages go out, which makes `held` grow by a part of them; less than the whole
    way each time keeps the two from chasing each other. Changes below a fifth of a percent of the
    budget are not worth the reclaim they cause. A rest of the budget is left to the workload.
    """
    goal = min(held, int(MOST * budget))
    if abs(goal - ballast) <= IDLE_BAND * budget:
        return ballast
    return round(ballast + DAMPING * (goal - ballast)) // PAGE * PAGE


@dataclasses.dataclass
class Sample:
    """At one moment: bytes charged to the group without ballast, and held for it outside."""
    at: float
    usage: int
    held: int


def memory_figures(samples, base):
    """Means and peaks in bytes. `base`: what the program takes without the region."""
    if not samples:
        return None
    usages = [sample.usage - base for sample in samples]
    helds = [sample.held for sample in samples]
    sums = [usage + held for usage, held in zip(usages, helds)]
    return {"usage_mean": sum(usages) / len(usages), "usage_peak": max(usages),
            "held_mean": sum(helds) / len(helds), "held_peak": max(helds),
            "sum_mean": sum(sums) / len(sums), "sum_peak": max(sums)}


class MemoryWatch(threading.Thread):
    """Samples a group; with ballast it keeps usage + held at the budget.

    `base` is what programs take without the region: it comes on top of the budget as soon as it is
    known (set_base).
    """

    def __init__(self, group, held, budget=None, ballast=None):
        super().__init__(daemon=True)
        self.group = group
        self.held = held
        self.budget = budget
        self.ballast = ballast
        self.base = 0
        self.program_rss = 0
        self.samples = []
        self.error = None
        self.ending = threading.Event()

    def __enter__(self):
        self.group.set_limit(self.budget)
        self.start()
        return self

    def __exit__(self, *_error):
        self.ending.set()
        self.join()

    def set_base(self, base):
        """Bytes in the group that do not count."""
        self.base = base
        if self.budget is not None:
            self.group.set_limit(self.budget + base)

    def run(self):
        try:
            while not self.ending.wait(PERIOD):
                self.step()
        except OSError as error:  # the ballast found no memory
            self.error = error

    def step(self):
        """Samples once, and moves the ballast."""
        usage = self.group.usage() - (self.ballast.size if self.ballast else 0)
        sample = Sample(time.monotonic(), usage, self.held(self.group))
        self.samples.append(sample)
        if self.ballast is None:
            return
        wanted = next_ballast(self.ballast.size, self.budget, sample.held)
        if wanted != self.ballast.size:
            self.ballast.resize(wanted)

    def cpu(self):
        """Seconds that the ballast spent."""
        return self.ballast.cpu() if self.ballast and not self.error else 0.0

    def between(self, begin, end):
        """Samples of a span of time.monotonic()."""
        return [sample for sample in self.samples if begin <= sample.at <= end]
