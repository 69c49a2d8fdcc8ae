#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""check_start.py UFFDMM_RUN: where the library cannot start the program does not either, unless
--optional is given."""
import subprocess
import sys

TIER = ["--tier", "file:/nonexistent/directory/file:64M"]


def run(*options):
    """Of a program that says hello."""
    return subprocess.run([sys.argv[1], *options, "--", "echo", "hello"], capture_output=True,
                          text=True, check=False, timeout=60)


refused = run(*TIER)
assert refused.returncode == 125, refused
assert refused.stdout == "", refused
assert "/nonexistent/directory/file" in refused.stderr, refused
unmanaged = run(*TIER, "--optional")
assert unmanaged.returncode == 0 and unmanaged.stdout == "hello\n", unmanaged
assert "the program runs unmanaged" in unmanaged.stderr, unmanaged
absent = subprocess.run([sys.argv[1], "--", "/nonexistent/program"], capture_output=True, text=True,
                        check=False, timeout=60)
assert absent.returncode == 127 and "/nonexistent/program" in absent.stderr, absent
without_store = run("--migrate-locations", "--tier", "ram:8M")
assert without_store.returncode == 2, without_store
assert "--migrate-locations: no tier is in a store that other hosts see" in without_store.stderr
