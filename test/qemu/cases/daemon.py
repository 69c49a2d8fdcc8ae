# SPDX-License-Identifier: BSD-3-Clause
"""QEMU in the background, and in its sandbox."""
import contextlib
import ctypes
import os
import subprocess
import time

from uffdmm_vm import Machine

SANDBOX = ("-sandbox",
           "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny")
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
CPUS = (2,)


class Adopted:
    """A process whose parent has ended, as far as Machine needs it."""

    def __init__(self, pid):
        self.pid = pid
        self.status = None

    def poll(self):
        """Its exit status, None while it runs."""
        if self.status is None:
            with contextlib.suppress(ChildProcessError):
                found, status = os.waitpid(self.pid, os.WNOHANG)
                self.status = os.waitstatus_to_exitcode(status) if found else None
        return self.status

    def wait(self, timeout=30):
        """Its exit status."""
        end = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("QEMU", timeout)
            time.sleep(0.02)
        return self.status


class Daemon(Machine):
    """-daemonize: what was started ends at once, and QEMU is this program's child from then on."""

    def launch(self):
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
        self.command += ["-daemonize", "-pidfile", f"{self.folder}/pid"]
        started = super().launch()
        if started.wait(30) != 0:
            return started
        return Adopted(int((self.folder / "pid").read_text(encoding="ascii")))


def use(t, vm):
    """Four times the limit."""
    vm.wait_ready()
    t.fill_all(vm)
    vm.ask(f"touch zipf seconds=1 writes=40 threads={t.cpus}")
    t.verify(vm)
    t.expect_swapping(vm)
    t.expect_within_limit(vm)
    vm.power_off()


def test_daemonize(t):
    """A guest in the background has its memory managed like any other."""
    with t.machine(kind=Daemon) as vm:
        use(t, vm)


def test_sandbox(t):
    """Everything that -sandbox can deny is denied, and the guest's memory is managed."""
    with t.machine(devices=SANDBOX) as vm:
        use(t, vm)
