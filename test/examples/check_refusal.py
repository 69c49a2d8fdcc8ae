#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""check_refusal.py PROGRAM OPTION ALLOWED ARGUMENT...: the program must exit with status 2, print
nothing on stdout, and say on stderr that OPTION is wrong and that ALLOWED is allowed."""

import subprocess
import sys

program, option, allowed, *arguments = sys.argv[1:]
run = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60)
problems = []
if run.returncode != 2:
    problems.append(f"exit status {run.returncode}, must be 2")
if run.stdout:
    problems.append(f"stdout is not empty: {run.stdout!r}")
if f" {option}: " not in run.stderr:
    problems.append(f"stderr does not name {option}")
if allowed not in run.stderr:
    problems.append(f"stderr does not say {allowed!r}")
if problems:
    sys.exit("\n".join([*problems, "stderr: " + run.stderr]))
