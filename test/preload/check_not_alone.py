#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""check_not_alone.py UFFDMM_RUN PROGRAM HOW TEXT: memory that others have, or that has contents, is
refused with a message that says TEXT; with --optional the program runs with it, unharmed."""
import subprocess
import sys

run, program, how, text = sys.argv[1:]


def outcome(*options):
    """Of the program under uffdmm-run."""
    words = [run, "--threshold", "8M", *options, "--", program, how]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


refused = outcome()
assert refused.returncode == 125, refused
assert text in refused.stderr and refused.stdout == "", refused
left = outcome("--optional")
assert left.returncode == 0 and left.stdout == "unharmed\n", left
assert text in left.stderr and "unmanaged" in left.stderr, left
