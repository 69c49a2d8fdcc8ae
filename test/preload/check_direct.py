#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""check_direct.py UFFDMM_RUN PROGRAM OLD_KERNEL FOLDER: direct I/O is refused by a message where
the kernel moves no pages (OLD_KERNEL hides that it can), and works where it does."""
import json
import os
import subprocess
import sys
import tempfile

REFUSAL = "refuses direct I/O on "

run, program, old_kernel, parent = sys.argv[1:]


def outcome(folder, expected, old, *options):
    """Of the program under uffdmm-run, with its statistics."""
    path = f"{folder}/{expected}-{old}"
    environment = dict(os.environ, **({"LD_PRELOAD": old_kernel} if old else {}))
    words = [run, "--limit", "24M", "--tier", "ram:8M", "--tier", f"file:{folder}:128M",
             "--threshold", "8M", "--stats", f"{path}.stats", *options, "--", program, path,
             expected]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=240,
                          env=environment)
    assert done.returncode == 0, done
    with open(f"{path}.stats", encoding="utf-8") as file:
        return done.stderr, json.load(file)["interception"]["refused"], path


with tempfile.TemporaryDirectory(dir=parent) as where:
    said, refused, file_name = outcome(where, "refused", True)
    assert f"{REFUSAL}{file_name}" in said and "cache=writeback" in said, said
    assert f"{REFUSAL}an open file" in said, said
    assert refused == 5, refused
    said, refused, _ = outcome(where, "allowed", True, "--list")
    assert "would refuse direct I/O on" in said, said
    if tuple(int(part) for part in os.uname().release.split(".")[:2]) >= (6, 8):
        said, refused, _ = outcome(where, "allowed", False)
        assert "direct I/O" not in said and refused == 0, (said, refused)
