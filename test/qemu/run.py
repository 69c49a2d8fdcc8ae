#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""End-to-end tests: Linux guests in QEMU whose RAM the library manages.

    ./test/run qemu [NAME]...        names may have wildcards: 'disk*', '*/runner/2'

Two run at a time, since a guest waits often; --jobs 1 is for one that is looked into. The last
line is `N passed, N failed`.
"""
import argparse
import contextlib
import fnmatch
import multiprocessing
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

TOP = pathlib.Path(__file__).resolve().parents[2]
LONGEST = 1800  # seconds that no test may take
sys.path[:0] = [str(TOP / "examples" / "vm"), str(TOP / "test" / "qemu")]

# pylint: disable=wrong-import-position
from qemutest import Context, Failed, backports_qemu, find_cases
from uffdmm_vm import MachineFailed, Unobtainable, guest_image, has_kvm
from uffdmm_vm.options import Stopped, between, stopped_by_signals
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
    add("--jobs", type=between(1, 64), default=2, metavar="N", help="tests at a time (2)")
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
    qemu = {"runner": asked.backports_qemu if case.needs == "backports" else QEMU,
            "backend": asked.backend_qemu}
    with tempfile.TemporaryDirectory(prefix="uffdmm-test-", dir="/var/tmp") as folder:
        context = Context(image, case.way, case.cpus, asked.build, qemu, pathlib.Path(folder))
        try:
            case.function(context)
        except (Failed, MachineFailed) as error:
            return f"{type(error).__name__}: {error}", context.notes
        except Exception:  # pylint: disable=broad-except
            return traceback.format_exc(), context.notes
    return None, context.notes


def work(places, cases, image, asked, results):
    """A process of its own: one case after another, each result sent as it comes."""
    try:
        for place in iter(places.get, None):
            begin = time.monotonic()
            wrong, notes = attempt(cases[place], image, asked)
            results.put((place, time.monotonic() - begin, wrong, notes))
    except Stopped:
        sys.exit(1)  # by now its guest is gone


@contextlib.contextmanager
def workers(cases, image, asked):
    """A queue of (place in `cases`, seconds, what went wrong, notes)."""
    processes = multiprocessing.get_context("fork")  # handlers of signals come along
    places, results = processes.Queue(), processes.Queue()
    count = min(asked.jobs, len(cases))
    for place in [*range(len(cases)), *[None] * count]:
        places.put(place)
    started = [processes.Process(target=work, args=(places, cases, image, asked, results))
               for _ in range(count)]
    try:
        for process in started:
            process.start()
        yield results
    except BaseException:
        for process in started:
            if process.is_alive():
                process.terminate()
        raise
    finally:
        for process in started:
            if process.pid is not None:
                process.join()


def obtainable(cases, asked):
    """Those whose QEMU is here, or can be had."""
    asked.backports_qemu = None
    needy = [case for case in cases if case.needs == "backports"]
    if needy:
        try:
            asked.backports_qemu = backports_qemu()
        except Unobtainable as error:
            print(f"left out, {len(needy)} tests: {error}", flush=True)
            return [case for case in cases if case not in needy]
    return cases


def run(cases, asked):
    """{"passed": N, ...}"""
    totals = {"passed": 0, "failed": 0}
    image = guest_image()
    if any(case.way == "backend" for case in cases) and not asked.backend_qemu:
        asked.backend_qemu = build_qemu(asked.build)
    with workers(cases, image, asked) as results:
        for _ in cases:
            place, seconds, wrong, notes = results.get(timeout=LONGEST)
            totals["failed" if wrong else "passed"] += 1
            print(f"{'FAILED' if wrong else 'ok':<6}  {seconds:5.1f} s  {cases[place].name}"
                  f"  {', '.join(notes)}", flush=True)
            if wrong:
                print(f"        {cases[place].promise}")
                print("".join(f"        {line}\n" for line in wrong.splitlines()), end="",
                      flush=True)
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
            cases = obtainable(cases, asked)
            return finish(run(cases, asked) if cases else {"passed": 0, "failed": 0})
    except Unobtainable as error:
        print(f"test/run qemu: {error}", file=sys.stderr)
        return 1
    except Stopped as signalled:
        print(f"test/run qemu: stopped by {signalled}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
