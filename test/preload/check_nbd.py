#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""check_nbd.py UFFDMM_RUN PROGRAM ARGUMENT...: the program's memory is on an NBD server."""
import contextlib
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
START_SECONDS = 60

run, *program = sys.argv[1:]
if not shutil.which("nbdkit"):
    print("needs nbdkit")
    sys.exit(SKIPPED)


@contextlib.contextmanager
def server(folder):
    """An NBD server, and the URI that leads to it."""
    pid_file = pathlib.Path(folder, "pid")
    words = ["nbdkit", "--foreground", "--exit-with-parent", "--unix", f"{folder}/socket",
             "--pidfile", str(pid_file), "memory", "256M"]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + START_SECONDS
            while not pid_file.exists():
                assert process.poll() is None and time.monotonic() < end, "nbdkit does not start"
                time.sleep(0.02)
            yield f"nbd+unix:///?socket={folder}/socket"
        finally:
            process.kill()


with tempfile.TemporaryDirectory() as where, server(where) as uri:
    stats = f"{where}/stats"
    done = subprocess.run([run, "--limit", "24M", "--tier", f"nbd:{uri}", "--threshold", "8M",
                           "--area", "64M", "--stats", stats, "--", *program],
                          capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done
    with open(stats, encoding="utf-8") as file:
        tiers = json.load(file)["library"]["tiers"]
    nbd = next(tier for tier in tiers if tier["name"] == "nbd")
    assert nbd["writes"] > 1000 and nbd["reads"] > 100, nbd
    assert nbd["read_errors"] == 0 and nbd["corrupt"] == 0, nbd
