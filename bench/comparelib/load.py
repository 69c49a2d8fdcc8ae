# SPDX-License-Identifier: BSD-3-Clause
"""One run of compare-load, step by step, with meters read between its phases."""
import dataclasses
import json
import subprocess
import tempfile
import time

from . import cpu
from .controller import memory_figures
from .knobs import write_knob
from .sizes import PAGE

GATE_SECONDS = 30
BASELINE_SECONDS = 0.4


class LoadFailed(RuntimeError):
    """The program ended before it was done; `killed`: by the kernel, for lack of memory."""

    def __init__(self, what, killed):
        super().__init__(what)
        self.killed = killed


@dataclasses.dataclass
class Meters:
    """CPU seconds at one moment."""
    at: float
    machine: float
    kernel: dict
    ballast: float


def read_meters(watch):
    """All of them."""
    return Meters(time.monotonic(), cpu.machine_busy_seconds(), cpu.kernel_thread_seconds(),
                  watch.cpu())


class Load:
    """The process. It waits at a gate before each phase and before its end."""

    def __init__(self, group, command):
        self.errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self.group = group
        self.process = subprocess.Popen(
            group.enter_command(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.errors, text=True, start_new_session=True)
        # Where the group runs out of memory this is what failed, not what stands beside it.
        write_knob(f"/proc/{self.process.pid}/oom_score_adj", 1000)

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            try:
                stream.close()
            except BrokenPipeError:
                pass

    def wait_at_gate(self):
        """Until it reads its standard input: what comes before the first phase is done then."""
        for _ in range(GATE_SECONDS * 50):
            if self.process.poll() is not None:
                raise self.failure()
            try:
                with open(f"/proc/{self.process.pid}/wchan", encoding="ascii") as file:
                    if "pipe_read" in file.read():
                        return
            except OSError:
                pass
            time.sleep(0.02)
        raise LoadFailed("it does not get to its first phase", False)

    def rss(self):
        """Bytes, now."""
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * PAGE

    def open_gate(self):
        """Lets it go on."""
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise self.failure() from error

    def phase(self):
        """The figures of the next phase."""
        self.open_gate()
        line = self.process.stdout.readline()
        if not line:
            raise self.failure()
        return json.loads(line)

    def finish(self):
        """Lets it end and checks that it ended well."""
        self.open_gate()
        if self.process.wait(GATE_SECONDS) != 0:
            raise self.failure()

    def failure(self):
        """What went wrong, once it has ended."""
        status = self.process.wait(GATE_SECONDS)
        if self.group.oom_kills() and status == -9:
            return LoadFailed("killed by the kernel: out of memory", True)
        self.errors.seek(0)
        return LoadFailed(f"status {status}: {self.errors.read().strip()[-500:]}", False)


def charge_meters(figures, before, after, watch, idle_share):
    """Adds to a phase's figures what was read around it."""
    span = after.at - before.at
    figures["cpu_kernel_threads"] = cpu.spent_between(before.kernel, after.kernel)
    figures["cpu_ballast"] = after.ballast - before.ballast
    figures["cpu_machine"] = after.machine - before.machine - idle_share * span
    figures["memory"] = memory_figures(watch.between(before.at, after.at), watch.base)


def idle_share_of(watch):
    """CPUs that are busy while the program waits."""
    before = read_meters(watch)
    time.sleep(BASELINE_SECONDS)
    after = read_meters(watch)
    return (after.machine - before.machine) / (after.at - before.at)


def run_phases(load, watch, names, base=None):
    """{phase: figures}. `base`: bytes in the group without the region, measured where None."""
    load.wait_at_gate()
    watch.program_rss = load.rss()
    idle_share = idle_share_of(watch)
    watch.set_base(load.group.usage() if base is None else base)
    phases = {}
    for name in names:
        before = read_meters(watch)
        figures = load.phase()
        after = read_meters(watch)
        assert figures["phase"] == name, figures["phase"]
        charge_meters(figures, before, after, watch, idle_share)
        phases[name] = figures
    load.finish()
    return phases
