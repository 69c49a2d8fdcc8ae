#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""check_program.py UFFDMM_RUN STATIC: programs in front of whose libraries nothing can be put are
refused, not run unmanaged without a word."""
import os
import shutil
import subprocess
import sys
import tempfile

run, static = map(os.path.abspath, sys.argv[1:])


def outcome(program, *options):
    """Of a program that prints hello."""
    return subprocess.run([run, *options, "--", program, "hello"], capture_output=True, text=True,
                          check=False, timeout=60, cwd=folder)


def expect_refusal(program, *said):
    """With the program named, and that --optional runs it."""
    refused = outcome(program)
    assert refused.returncode == 125 and refused.stdout == "", refused
    for text in said:
        assert text in refused.stderr, (text, refused)


with tempfile.TemporaryDirectory() as folder:
    expect_refusal(static, static, "statically linked")
    optional = outcome(static, "--optional")
    assert optional.returncode == 0 and optional.stdout == "hello\n", optional
    assert "runs unmanaged" in optional.stderr, optional

    script = f"{folder}/script"
    with open(script, "w", encoding="ascii") as file:
        file.write(f"#! {static} -e\n")
    os.chmod(script, 0o755)
    expect_refusal(script, static, "statically linked")

    setuid = f"{folder}/setuid"
    shutil.copy("/bin/echo", setuid)
    if os.geteuid() == 0:
        os.chown(setuid, 65534, 65534)
        os.chmod(setuid, 0o4755)
        expect_refusal(setuid, setuid, "setuid")
        os.chmod(setuid, 0o2755)
        expect_refusal(setuid, setuid, "setgid")

    other = f"{folder}/other"
    with open("/bin/echo", "rb") as file:
        words = bytearray(file.read())
    words[18] ^= 0xff  # the machine
    with open(other, "wb") as file:
        file.write(words)
    os.chmod(other, 0o755)
    expect_refusal(other, other, "another architecture")

    for program, status, said in (("/nonexistent/program", 127, "/nonexistent/program"),
                                  ("nonexistent-program", 127, "nonexistent-program"),
                                  (folder, 126, folder)):
        failed = outcome(program)
        assert failed.returncode == status and said in failed.stderr, failed
    ordinary = outcome("echo")
    assert ordinary.returncode == 0 and ordinary.stdout == "hello\n", ordinary
    assert not ordinary.stderr, ordinary
