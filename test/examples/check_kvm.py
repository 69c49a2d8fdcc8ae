#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs kvm_vmm and checks how it ends: check_kvm.py right|damaged|refused KVM_VMM [OPTION]...

right    every page was right, and pages left memory meanwhile
damaged  the guest noticed the word that the VMM overwrote
refused  bad usage: exit status 2, a message that names the option
"""

import re
import subprocess
import sys


def main(expected, command):
    run = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    print(run.stdout[-1500:], run.stderr, sep="\n")
    if run.returncode == 77:
        return 77
    if expected == "refused":
        return 0 if run.returncode == 2 and command[1] in run.stderr else 1
    if expected == "damaged":
        return 0 if run.returncode == 1 and "wrong contents in page" in run.stderr else 1
    evicted = int(re.findall(r"(\d+) pages evicted", run.stdout)[-1])
    right = run.returncode == 0 and "every page was right" in run.stdout
    return 0 if right and evicted >= 1000 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
