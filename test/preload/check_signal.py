#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""check_signal.py UFFDMM_RUN: SIGUSR2 writes the statistics of a program that has no handler."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

with tempfile.TemporaryDirectory() as folder:
    stats = f"{folder}/stats.json"
    words = [sys.argv[1], "--limit", "16M", "--stats", stats, "--", "sh", "-c", "echo up; read end"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as program:
        assert program.stdout.readline() == "up\n"
        assert not os.path.exists(stats)
        program.send_signal(signal.SIGUSR2)
        for _ in range(600):
            if os.path.exists(stats):
                break
            time.sleep(0.05)
        with open(stats, encoding="utf-8") as file:
            figures = json.load(file)
        assert figures["library"]["limit_bytes"] == 16 << 20, figures
        assert program.poll() is None, "the signal ended the program"
        program.communicate("\n")
