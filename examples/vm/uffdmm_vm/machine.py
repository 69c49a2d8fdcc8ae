# SPDX-License-Identifier: BSD-3-Clause
"""A running guest: QEMU, its monitor, its console and the port for commands to the workload."""
import contextlib
import dataclasses
import os
import pathlib
import queue
import re
import shlex
import signal
import subprocess
import tempfile
import time

from .lines import Lines
from .memory import memory_of
from .qmp import Qmp
from .ways import has_kvm

START_SECONDS = 20
READY_SECONDS = 90
ASK_SECONDS = 120
TROUBLE = re.compile(r"Kernel panic|BUG:|Oops|soft lockup|Out of memory|Machine check")
REPORT = re.compile(r"uffdmm: (\S+)\s*(.*)$")


class MachineFailed(RuntimeError):
    """The guest or QEMU did not do what it should."""


@dataclasses.dataclass
class Report:
    """A line of the workload: its name and what it says."""
    name: str
    values: dict

    @staticmethod
    def parse(line):
        """None for other lines."""
        found = REPORT.search(line)
        if not found:
            return None
        words = shlex.split(found[2]) if '"' in found[2] else found[2].split()
        return Report(found[1], dict(word.split("=", 1) for word in words if "=" in word))


@dataclasses.dataclass
class Answer:
    """All reports on one command; the last is `done`."""
    reports: list

    @property
    def bad(self):
        """Pages with wrong contents so far."""
        return int(self.reports[-1].values["bad"])

    def value(self, key):
        """The last value of that name in a report that is not mere progress, as text."""
        for report in reversed(self.reports):
            if report.name != "progress" and key in report.values:
                return report.values[key]
        raise KeyError(key)

    def number(self, key):
        """The same as a number."""
        return float(self.value(key))


class Machine:
    """`script`: commands that the guest carries out by itself, on the console; with `port` it then
    takes commands. `told` is called with each line of console and port, in threads of its own.
    `devices`: more arguments for QEMU. `disk`: path of a raw image, read past the host's cache.
    """

    def __init__(self, image, way, *, memory="1G", cpus=1, script="", port=True, disk=None,
                 devices=(), told=None, kvm=None, reboots=False, log=None, enter=None):
        self.way = way
        self.folder_holder = tempfile.TemporaryDirectory(prefix="uffdmm-vm-", dir="/var/tmp")
        self.folder = pathlib.Path(self.folder_holder.name)
        self.told = told
        self.console_log = open(log or self.folder / "console", "w", encoding="utf-8")
        self.kvm = has_kvm() if kvm is None else kvm
        self.process = self.qmp = self.console = self.port = None
        line = self.command_line(image, memory, cpus, script, port, disk, reboots)
        self.command = [*line, *devices]
        self.enter = enter or (lambda command: command)

    def command_line(self, image, memory, cpus, script, port, disk, reboots):
        """QEMU's, without more devices."""
        words = self.way.command(memory, self.folder)
        append = "console=ttyS0 quiet panic=0 no_timer_check"
        append += f' uffdmm_script="{script}"' if script else ""
        append += " uffdmm_port=/dev/ttyS1" if port else ""
        words += ["-nodefaults", "-no-user-config", "-display", "none", "-smp", str(cpus),
                  "-accel", "kvm" if self.kvm else self.tcg(cpus), "-cpu",
                  "host" if self.kvm else "max", "-kernel", str(image.kernel),
                  "-initrd", str(image.initrd), "-append", append]
        words += [] if reboots else ["-no-reboot"]
        for name in ("console", "port"):
            words += ["-chardev", f"socket,id={name},path={self.folder}/{name}.sock,server=on,"
                      "wait=off", "-serial", f"chardev:{name}"]
        words += ["-qmp", f"unix:{self.folder}/qmp.sock,server=on,wait=off", "-S"]
        if disk:
            words += ["-drive", f"file={disk},if=none,id=disk,format=raw,cache=none,aio=native",
                      "-device", "virtio-blk-pci,drive=disk"]
        return words

    @staticmethod
    def tcg(cpus):
        """A thread for each virtual CPU."""
        return "tcg,thread=multi" if cpus > 1 else "tcg"

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_error):
        self.stop()

    def launch(self):
        """The process of QEMU, which dies with this program, however that ends."""
        with open(self.folder / "errors", "wb") as errors:
            return subprocess.Popen(
                self.enter(["setpriv", "--pdeathsig", "KILL", *self.command]),
                stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, start_new_session=True)

    def start(self):
        """QEMU, and connections to all of its sockets."""
        self.process = self.launch()
        self.console = self.connect("console", lambda path: Lines(path, self.console_log,
                                                                  self.told))
        self.port = self.connect("port", lambda path: Lines(path, self.console_log, self.told))
        self.qmp = self.connect("qmp", Qmp)
        self.qmp.command("cont")  # not before everybody listens

    def connect(self, name, opened):
        """opened(path) of a socket that QEMU makes as it starts."""
        path = self.folder / f"{name}.sock"
        end = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(FileNotFoundError, ConnectionError):
                return opened(path)
            if self.process.poll() is not None or time.monotonic() > end:
                raise self.failure("QEMU does not start")
            time.sleep(0.02)

    def errors(self):
        """What QEMU and uffdmm-run said so far."""
        return (self.folder / "errors").read_text(encoding="utf-8", errors="replace").strip()

    def failure(self, what):
        """An exception with all that helps to understand it."""
        console = (self.folder / "console")
        said = console.read_text(encoding="utf-8").splitlines()[-15:] if console.exists() else []
        status = self.process.poll()
        parts = [what, f"QEMU: {'runs' if status is None else f'ended with {status}'}",
                 self.errors()[-2000:], *said]
        return MachineFailed("\n".join(part for part in parts if part))

    def next_line(self, lines, end):
        """Waits for one; looks at QEMU and the console meanwhile."""
        while True:
            try:
                line = lines.queue.get(timeout=min(1, max(0.01, end - time.monotonic())))
            except queue.Empty:
                line = ""
            if line is None:
                raise self.failure("the guest is gone")
            if line and TROUBLE.search(line):
                raise self.failure(f"trouble in the guest: {line}")
            if line:
                return line
            if self.process.poll() is not None:
                raise self.failure("QEMU ended")
            if time.monotonic() > end:
                raise self.failure("the guest took too long")
            if lines is not self.console:
                self.look_at_console()

    def look_at_console(self):
        """A guest in trouble says so there."""
        while not self.console.queue.empty():
            line = self.console.queue.get()
            if line and TROUBLE.search(line):
                raise self.failure(f"trouble in the guest: {line}")

    def reports(self, lines, timeout):
        """Yields them as they come."""
        end = time.monotonic() + timeout
        while True:
            report = Report.parse(self.next_line(lines, end))
            if report:
                yield report

    def wait_report(self, name, lines=None, timeout=READY_SECONDS):
        """The next of that name on the port, or on other lines."""
        for report in self.reports(lines or self.port, timeout):
            if report.name == name:
                return report
            if report.name == "failed":
                raise self.failure(f"the workload failed: {report.values}")
        return None

    def wait_ready(self, timeout=READY_SECONDS):
        """Until the guest takes commands."""
        return self.wait_report("ready", timeout=timeout)

    def begin(self, command):
        """Tells the guest, does not wait."""
        self.port.send(command)

    def end(self, timeout=ASK_SECONDS):
        """The answer to what was begun."""
        found = []
        for report in self.reports(self.port, timeout):
            found.append(report)
            if report.name == "failed":
                raise self.failure(f"the workload failed: {report.values}")
            if report.name == "done":
                break
        return Answer(found)

    def ask(self, command, timeout=ASK_SECONDS):
        """Both."""
        self.begin(command)
        return self.end(timeout)

    def memory(self):
        """Of the QEMU process."""
        return memory_of(self.process.pid)

    def power_off(self, timeout=30):
        """The guest switches itself off; QEMU has to end by itself, well."""
        self.begin("poweroff")
        self.wait_end(timeout)

    def wait_end(self, timeout=30):
        """Until QEMU ends. Raises MachineFailed where it does not, or not well."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise self.failure("QEMU does not end") from None
        if status != 0:
            raise self.failure("QEMU did not end well")

    def stop(self):
        """Nothing is left."""
        if self.process and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(os.getpgid(self.process.pid), signal.SIGKILL)
        if self.process:
            self.process.wait()
        for part in (self.qmp, self.console, self.port, self.console_log):
            if part:
                part.close()
        self.folder_holder.cleanup()
