#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""check_wrapper.py UFFDMM_RUN EXECUTING HEIR STATIC: uffdmm-run is given a wrapper, and the program
behind it is the one that is managed, however it is executed."""
import json
import os
import subprocess
import sys
import tempfile

run, executing, heir, static = map(os.path.abspath, sys.argv[1:])
CALLS = ("execve", "execv", "execvp", "execvpe", "execl", "execlp", "execle", "fexecve", "execveat",
         "posix_spawn", "posix_spawnp", "vfork")


def outcome(*words):
    """What is said, and the statistics."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([run, "--limit", "24M", "--stats", f"{folder}/stats", "--", *words],
                              capture_output=True, text=True, check=False, timeout=120,
                              env={**os.environ, "KEPT": "yes"})
        assert done.returncode == 0, (words, done)
        with open(f"{folder}/stats", encoding="utf-8") as file:
            return done, json.load(file)


def expect_managed(*words, preload="none", child=True):
    """The heir at the end of it."""
    done, stats = outcome(*words)
    assert done.stdout == preload + "\n", (words, done)
    assert stats["interception"]["mappings"] == 1 and stats["library"]["faults"] > 0, (words, stats)
    said = "manages the memory of process" in done.stderr and "heir\n" in done.stderr
    assert said == child, (words, done)


for call in CALLS:
    in_child = call.startswith("posix_spawn") or call == "vfork"
    expect_managed(executing, call, heir, preload="libm.so.6", child=in_child)
HEIR = (heir, "two words", "last")
expect_managed("env", "-u", "NOTHING", *HEIR, child=False)
expect_managed("timeout", "100", *HEIR)
expect_managed("sh", "-c", 'exec "$0" "$@"', *HEIR, child=False)
expect_managed("sh", "-c", 'true; "$0" "$@"; exit $?', *HEIR)
expect_managed("sh", "-c", 'LD_PRELOAD=libm.so.6 "$0" "$@"; exit $?', *HEIR, preload="libm.so.6")
expect_managed("sh", "-c", 'sh -c \'"$0" "$@"; exit $?\' "$0" "$@"; exit $?', *HEIR)
expect_managed(sys.executable, "-c",
               "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)", *HEIR)
with tempfile.TemporaryDirectory() as place:
    script = f"{place}/start"
    with open(script, "w", encoding="ascii") as text:
        text.write(f'#!/bin/sh\nls / >/dev/null\n{heir} "two words" "$1"\nexit $?\n')
    os.chmod(script, 0o755)
    expect_managed(script, "last")

unmanaged, figures = outcome("sh", "-c", "exec env true")
assert figures["interception"]["mappings"] == 0 and not unmanaged.stderr, (unmanaged, figures)
to_static = subprocess.run([run, "--", "env", static, "hello"], capture_output=True, text=True,
                           check=False, timeout=60)
assert to_static.stdout == "hello\n" and "statically linked" in to_static.stderr, to_static
