# SPDX-License-Identifier: BSD-3-Clause
"""Live migration from one machine to another on this host, and how the guest fares meanwhile.

    with Machine(image, way, ...) as source, incoming(image, way, ...) as destination:
        ...
        migration = Migration(source, destination)
        for status in migration.run():
            print(status.percent)
        migration.end()                # of what the guest was told on the source
"""
import dataclasses
import time

from .machine import Answer, Machine, Report
from .qmp import QmpError

POLL_SECONDS = 0.05
FINAL = ("completed", "failed", "cancelled")


def incoming(image, way, *, devices=(), **options):
    """A machine that waits for a guest. Its other options have to be those of the source."""
    return Machine(image, way, devices=("-incoming", "defer", *devices), **options)


@dataclasses.dataclass
class Status:
    """What `query-migrate` says at `at` (time.monotonic()), in bytes, pages and seconds."""
    at: float
    state: str
    sent: int = 0
    remaining: int = 0
    total: int = 0
    normal_pages: int = 0
    zero_pages: int = 0
    rounds: int = 0
    seconds: float = 0
    downtime: float = 0
    why: str = ""

    @staticmethod
    def parse(answer):
        """Fields are there or not by state and by version of QEMU."""
        ram = answer.get("ram", {})
        return Status(time.monotonic(), answer.get("status", "none"), ram.get("transferred", 0),
                      ram.get("remaining", 0), ram.get("total", 0), ram.get("normal", 0),
                      ram.get("duplicate", 0), ram.get("dirty-sync-count", 0),
                      answer.get("total-time", 0) / 1000, answer.get("downtime", 0) / 1000,
                      answer.get("error-desc", ""))

    @property
    def final(self):
        """No other follows."""
        return self.state in FINAL

    @property
    def percent(self):
        """Of this round."""
        return 100 - 100 * self.remaining / self.total if self.total else 0


class Migration:
    """`capabilities`: names to switch on, on both sides. `parameters`: on both sides too."""

    def __init__(self, source, destination, capabilities=(), **parameters):
        self.source = source
        self.destination = destination
        self.uri = f"unix:{destination.folder}/migration.sock"
        for machine in (source, destination):
            if capabilities:
                machine.qmp.command("migrate-set-capabilities", capabilities=[
                    {"capability": name, "state": True} for name in capabilities])
            if parameters:
                machine.qmp.command("migrate-set-parameters", **parameters)

    def begin(self):
        """The destination listens, the source connects."""
        self.destination.qmp.command("migrate-incoming", uri=self.uri)
        self.source.qmp.command("migrate", uri=self.uri)

    def status(self):
        """As the source sees it."""
        return Status.parse(self.source.qmp.command("query-migrate"))

    def run(self, timeout=300):
        """Begins, then yields its status now and then; the last one is final. Raises MachineFailed
        where it does not end."""
        self.begin()
        end = time.monotonic() + timeout
        while True:
            status = self.status()
            yield status
            if status.final:
                return
            if time.monotonic() > end:
                raise self.source.failure(f"the migration takes too long: {status}")
            time.sleep(POLL_SECONDS)

    def complete(self, timeout=300, running=True):
        """All of it; the last status. Raises MachineFailed unless the guest runs over there, or
        is there to be told to, where it did not run before."""
        status = None
        for status in self.run(timeout):
            pass
        if status.state != "completed":
            raise self.failure(status)
        self.wait_there(self.destination, "running" if running else "paused")
        return status

    def failure(self, status):
        """An exception with what both sides said."""
        there = self.destination.failure("destination:")
        return self.source.failure(f"the migration {status.state}: {status.why}\n{there}\nsource:")

    @staticmethod
    def wait_running(machine, timeout=30):
        """Until the guest runs there."""
        Migration.wait_there(machine, "running", timeout)

    @staticmethod
    def wait_there(machine, wanted, timeout=30):
        """Until the guest is there, and in that state."""
        end = time.monotonic() + timeout
        while machine.qmp.command("query-status")["status"] != wanted:
            if time.monotonic() > end:
                raise machine.failure("the guest does not run")
            time.sleep(POLL_SECONDS)

    def end(self):
        """The answer to what the guest was told before: it comes from where the guest was then."""
        while not self.source.port.queue.empty():
            report = Report.parse(self.source.port.queue.get() or "")
            if report and report.name == "done":
                return Answer([report])
        return self.destination.end()

    def cancel(self):
        """The guest goes on where it is; returns the last status."""
        self.source.qmp.command("migrate_cancel")
        while not (status := self.status()).final:
            time.sleep(POLL_SECONDS)
        return status

    def refused(self, timeout=30):
        """Why it was refused, on either side; None where it was not."""
        try:
            for status in self.run(timeout):
                if status.state == "failed":
                    return status.why
        except QmpError as error:
            return str(error)
        return None


class Pace:
    """How far the guest's work was when. `told` goes to machines, of both sides."""

    def __init__(self, then=None):
        self.points = []
        self.then = then

    def told(self, line):
        """A report of progress, or of the end, is a point."""
        report = Report.parse(line)
        if report and report.name in ("progress", "result"):
            self.points.append((time.monotonic(), int(report.values["pages"])))
        if self.then:
            self.then(line)

    def between(self, begin, end):
        """Pages a second in that time, as far as the piece of work that was under way at its
        begin lasted; None where none was."""
        points = self.work_at(begin)
        if not points:
            return None
        end = min(end, points[-1][0])
        return (pages_at(points, end) - pages_at(points, begin)) / (end - begin)

    def work_at(self, moment):
        """The points of the piece of work that was under way then."""
        work = []
        for point in list(self.points):
            if work and point[1] < work[-1][1]:
                if work[0][0] <= moment < work[-1][0]:
                    return work
                work = []
            work.append(point)
        return work if work and work[0][0] <= moment < work[-1][0] else []


def pages_at(points, moment):
    """Between two points in a line."""
    for (early, few), (late, more) in zip(points, points[1:]):
        if early <= moment <= late:
            return few + (more - few) * (moment - early) / (late - early)
    return points[-1][1]
