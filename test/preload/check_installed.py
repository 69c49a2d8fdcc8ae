#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""check_installed.py BUILD PROGRAM: an installed copy, wherever it is, finds its library."""
import json
import os
import shutil
import subprocess
import sys
import tempfile


def place(name):
    """Copies one file below the folder, as `meson install` would. Others need not be built."""
    listed = subprocess.run(["meson", "introspect", "--installed", build], check=True,
                            capture_output=True, text=True)
    built, target = next(item for item in json.loads(listed.stdout).items()
                         if os.path.basename(item[0]) == name)
    os.makedirs(root + os.path.dirname(target), exist_ok=True)
    return shutil.copy(built, root + target)


build, program = map(os.path.abspath, sys.argv[1:])
with tempfile.TemporaryDirectory() as root:
    run, library = place("uffdmm-run"), place("libuffdmm-preload.so")
    done = subprocess.run([run, "--limit", "32M", "--stats", f"{root}/stats", "--", program],
                          capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done
    with open(f"{root}/stats", encoding="utf-8") as file:
        assert json.load(file)["interception"]["mappings"] > 0
    os.rename(library, f"{library}.gone")
    failed = subprocess.run([run, "--", program], capture_output=True, text=True, check=False,
                            timeout=60)
    assert failed.returncode != 0 and library in failed.stderr, failed
