#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""check_permission.py UFFDMM_RUN: a user who may not have a userfaultfd is told what is missing,
and what is said to help helps. Needs root, to become such a user."""
import os
import shutil
import subprocess
import sys
import tempfile

NOBODY = 65534
SKIP = 77


def as_nobody(*words):
    """Under uffdmm-run, without any right."""
    drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return subprocess.run([*drop, *words], capture_output=True, text=True, check=False, timeout=60)


def may_have_one():
    """Whether everybody may."""
    with open("/proc/sys/vm/unprivileged_userfaultfd", encoding="ascii") as file:
        everybody = file.read().strip() != "0"
    device = "/dev/userfaultfd"
    return everybody or (os.path.exists(device) and os.stat(device).st_mode & 0o006 != 0)


if os.geteuid() != 0 or shutil.which("setpriv") is None:
    print("needs root and setpriv")
    sys.exit(SKIP)
if may_have_one():
    print("every user may have a userfaultfd here")
    sys.exit(SKIP)

with tempfile.TemporaryDirectory() as folder:  # where that user can read it
    os.chmod(folder, 0o755)
    built = os.path.dirname(os.path.abspath(sys.argv[1]))
    for name in ("uffdmm-run", "libuffdmm-preload.so"):
        shutil.copy(f"{built}/{name}", folder)
    run = f"{folder}/uffdmm-run"
    refused = as_nobody(run, "--", "echo", "hello")
    assert refused.returncode == 125 and refused.stdout == "", refused
    for said in ("/dev/userfaultfd", "vm.unprivileged_userfaultfd", "CAP_SYS_PTRACE", "group",
                 f"user {NOBODY}"):
        assert said in refused.stderr, (said, refused)
    unmanaged = as_nobody(run, "--optional", "--", "echo", "hello")
    assert unmanaged.returncode == 0 and unmanaged.stdout == "hello\n", unmanaged
    assert "the program runs unmanaged" in unmanaged.stderr, unmanaged
    listed = as_nobody(run, "--list", "--", "echo", "hello")
    assert listed.returncode == 0 and listed.stdout == "hello\n" and not listed.stderr, listed
    allowed = as_nobody("--inh-caps=+sys_ptrace", "--ambient-caps=+sys_ptrace", run, "--", "echo",
                        "hello")
    assert allowed.returncode == 0 and not allowed.stderr, allowed
