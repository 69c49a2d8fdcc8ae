#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""check_candidates.py UFFDMM_RUN PROGRAM: what --list says of each mapping, that it manages
nothing, and that --match overrides it."""
import json
import re
import subprocess
import sys
import tempfile

run, program = sys.argv[1:]
LINE = re.compile(r'uffdmm-run: (would take|would leave|takes|leaves|watches) (\S+) at (\S+), '
                  r'(\w+)(?: "(\w+)")?: (.*)')


def outcomes(*options):
    """By (kind, name or size): what is said last, and why; and how many faults were served."""
    with tempfile.NamedTemporaryFile() as stats:
        words = [run, "--threshold", "8M", "--limit", "32M", "--stats", stats.name, *options, "--",
                 program]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done
        with open(stats.name, encoding="utf-8") as written:  # another file: renamed to it
            faults = json.load(written)["library"]["faults"]
    said = {}
    for line in done.stderr.splitlines():
        if found := LINE.fullmatch(line):
            said[found[4], found[5] or found[2]] = (found[1], found[6])
    return said, faults


def expect(said, memory, verb, why):
    """That it was said of that memory."""
    assert memory in said, (memory, said)
    assert said[memory][0] == verb and why in said[memory][1], (memory, said[memory])


listed, served = outcomes("--list")
assert served == 0
expect(listed, ("anonymous", "12M"), "would take", "--threshold")
expect(listed, ("memfd", "told"), "would take", "MADV_DONTFORK")
expect(listed, ("memfd", "untold"), "watches", "MADV_DONTFORK")
expect(listed, ("shared", "12M"), "watches", "MADV_DONTFORK")
expect(listed, ("anonymous", "64M"), "watches", "inaccessible")
expect(listed, ("reserved", "12M"), "would take", "became memory")
expect(listed, ("anonymous", "16M"), "would leave", "executable")
expect(listed, ("block", "12M"), "would take", "malloc")
expect(listed, ("anonymous", "2M"), "would leave", "--threshold")

said_of, served = outcomes("--verbose")
assert served > 0
for kind, which in (("anonymous", "12M"), ("memfd", "told"), ("reserved", "12M"), ("block", "12M")):
    assert said_of[kind, which][0] == "takes", said_of
assert ("anonymous", "2M") not in said_of, said_of

BY_NAME = "leave,kind=memfd,name=t?l*"
said_of, served = outcomes("--verbose", "--match", BY_NAME, "--match", "take,kind=memfd|shared",
                           "--match", "leave,size=10M..14M", "--match=take,size=1M..4M")
assert served > 0
expect(said_of, ("memfd", "told"), "leaves", f"--match {BY_NAME}")
expect(said_of, ("memfd", "untold"), "takes", "--match take,kind=memfd|shared")
expect(said_of, ("shared", "12M"), "takes", "--match take,kind=memfd|shared")
expect(said_of, ("anonymous", "12M"), "leaves", "--match leave,size=10M..14M")
expect(said_of, ("reserved", "12M"), "leaves", "--match leave,size=10M..14M")
expect(said_of, ("block", "12M"), "leaves", "--match leave,size=10M..14M")
expect(said_of, ("anonymous", "16M"), "leaves", "executable")
expect(said_of, ("anonymous", "2M"), "takes", "--match take,size=1M..4M")
