# SPDX-License-Identifier: BSD-3-Clause
"""The library's statistics in a QEMU that runs under uffdmm-run (way Runner)."""
import json
import os
import signal
import time

FILE = "stats.json"  # in the machine's folder: Runner tells uffdmm-run so
PERIOD = 0.005


def stamp_of(path):
    """Changes whenever the file is written anew; None: there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def written(vm):
    """What is in the file, which after the end of QEMU is the last word."""
    with open(vm.folder / FILE, encoding="utf-8") as file:
        return json.load(file)


def statistics(vm, timeout=5):
    """As they are now. Raises OSError where QEMU has ended or does not answer."""
    path = vm.folder / FILE
    before = stamp_of(path)
    os.kill(vm.process.pid, signal.SIGUSR2)
    end = time.monotonic() + timeout
    while stamp_of(path) == before:
        if vm.process.poll() is not None or time.monotonic() > end:
            raise TimeoutError("uffdmm-run writes no statistics")
        time.sleep(PERIOD)
    return written(vm)
