#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""check_installed.py BUILD PROGRAM: an installed copy, wherever it is, finds its library."""
import glob
import json
import os
import subprocess
import sys
import tempfile

build, program = map(os.path.abspath, sys.argv[1:])
with tempfile.TemporaryDirectory() as root:
    subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--tags", "runtime",
                    "--destdir", root], check=True, stdout=subprocess.DEVNULL)
    run, = glob.glob(f"{root}/**/bin/uffdmm-run", recursive=True)
    library, = glob.glob(f"{root}/**/libuffdmm-preload.so", recursive=True)
    done = subprocess.run([run, "--limit", "32M", "--stats", f"{root}/stats", "--", program],
                          capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done
    with open(f"{root}/stats", encoding="utf-8") as file:
        assert json.load(file)["interception"]["mappings"] > 0
    os.rename(library, f"{library}.gone")
    failed = subprocess.run([run, "--", program], capture_output=True, text=True, check=False,
                            timeout=60)
    assert failed.returncode != 0 and library in failed.stderr, failed
