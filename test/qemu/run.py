#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""End-to-end tests: Linux guests in QEMU whose RAM the library manages.

    ./test/run qemu [NAME]...        names may have wildcards: 'disk*', '*/runner/2'

The last line is `N passed, N failed`.
"""
import argparse
import fnmatch
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "examples" / "vm"), str(TOP / "test" / "qemu")]

# pylint: disable=wrong-import-position
from qemutest import Context, Failed, find_cases
from uffdmm_vm import MachineFailed, Unobtainable, guest_image, has_kvm
from uffdmm_vm.options import Stopped, stopped_by_signals
from uffdmm_vm.ways import QEMU


def build_qemu(build):
    """A QEMU with the backend, from shim/qemu/build.sh."""
    run_it = subprocess.run([TOP / "shim" / "qemu" / "build.sh", "--build", build],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                            check=False)
    if run_it.returncode:
        raise Unobtainable("no QEMU with the backend (see above); --way runner does without")
    return run_it.stdout.strip()


def parse_arguments():
    """The command line."""
    parser = argparse.ArgumentParser(prog="test/run qemu", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--build", type=pathlib.Path, default=TOP / "build", metavar="DIR",
        help="folder with shim/uffdmm-run (build)")
    add("--way", choices=("runner", "backend"), help="only this one")
    add("--backend-qemu", default=os.environ.get("UFFDMM_QEMU"), metavar="PROGRAM",
        help="a QEMU with memory-backend-uffdmm (UFFDMM_QEMU, or what shim/qemu/build.sh makes)")
    add("--list", action="store_true", help="print the tests and run none")
    add("names", nargs="*", metavar="NAME")
    return parser.parse_args()


def chosen(asked):
    """The tests to run."""
    cases = [case for case in find_cases() if asked.way in (None, case.way)]
    if not asked.names:
        return cases
    return [case for case in cases
            if any(fnmatch.fnmatch(case.name, f"{name}*") for name in asked.names)]


def attempt(case, image, asked):
    """(None or what went wrong, notes)."""
    qemu = {"runner": QEMU, "backend": asked.backend_qemu}
    with tempfile.TemporaryDirectory(prefix="uffdmm-test-", dir="/var/tmp") as folder:
        context = Context(image, case.way, case.cpus, asked.build, qemu, pathlib.Path(folder))
        try:
            case.function(context)
        except (Failed, MachineFailed) as error:
            return f"{type(error).__name__}: {error}", context.notes
        except Exception:  # pylint: disable=broad-except
            return traceback.format_exc(), context.notes
    return None, context.notes


def run(cases, asked):
    """{"passed": N, ...}"""
    totals = {"passed": 0, "failed": 0}
    image = guest_image()
    if any(case.way == "backend" for case in cases) and not asked.backend_qemu:
        asked.backend_qemu = build_qemu(asked.build)
    for case in cases:
        begin = time.monotonic()
        wrong, notes = attempt(case, image, asked)
        totals["failed" if wrong else "passed"] += 1
        print(f"{'FAILED' if wrong else 'ok':<6}  {time.monotonic() - begin:5.1f} s  {case.name}"
              f"  {', '.join(notes)}", flush=True)
        if wrong:
            print(f"        {case.promise}")
            print("".join(f"        {line}\n" for line in wrong.splitlines()), end="", flush=True)
    return totals


def finish(totals):
    """The last line; returns the exit status."""
    print(f"{totals['passed']} passed, {totals['failed']} failed")
    return 0 if totals["passed"] and not totals["failed"] else 1


def main():
    """Returns the exit status."""
    asked = parse_arguments()
    cases = chosen(asked)
    if not cases:
        print(f"there is no test named {' '.join(asked.names)} (--list)", file=sys.stderr)
        return 2
    if asked.list:
        print("\n".join(f"{case.name:<64} {case.promise}" for case in cases))
        return 0
    try:
        with stopped_by_signals():
            if not shutil.which(QEMU):
                raise Unobtainable(f"{QEMU} is not here; Debian has it in qemu-system-x86")
            print(f"{len(cases)} tests, by {'KVM' if has_kvm() else 'TCG'}", flush=True)
            return finish(run(cases, asked))
    except Unobtainable as error:
        print(f"test/run qemu: {error}", file=sys.stderr)
        return 1
    except Stopped as signalled:
        print(f"test/run qemu: stopped by {signalled}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
