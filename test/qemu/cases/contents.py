# SPDX-License-Identifier: BSD-3-Clause
"""Memory that verifies itself, four times as much as the host may spend."""
import contextlib
import json
import os
import threading
import time

from qemutest import once


def bound_threads(pid):
    """Threads of the process that may run on one CPU only."""
    bound = set()
    for thread in map(int, os.listdir(f"/proc/{pid}/task")):
        with contextlib.suppress(ProcessLookupError):
            if len(os.sched_getaffinity(thread)) == 1:
                bound.add(thread)
    return bound


@contextlib.contextmanager
def seen_bound(pid):
    """The threads that were bound at some moment meanwhile, as far as looks tell."""
    seen = set()
    over = threading.Event()

    def look():
        while not over.is_set():
            seen.update(bound_threads(pid))
            time.sleep(0.002)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def test_every_byte_is_right(t):
    """A guest with four times its limit filled boots, works, and finds every byte right."""
    with t.machine() as vm:
        vm.wait_ready()
        t.fill_all(vm)
        for pattern in ("uniform", "zipf", "sequential"):
            answer = vm.ask(f"touch {pattern} seconds=1 writes=40 threads={t.cpus}")
            t.expect(answer.number("pages") > 0, f"{pattern}: something is touched")
        vm.ask(f"touch uniform seconds=1 writes=50 whole threads={t.cpus}")
        t.verify(vm)
        t.expect_swapping(vm)
        t.expect_within_limit(vm)
        vm.power_off()


@once
def test_gathered_threads(t):
    """The same with threads gathered on one CPU, of which none stays there."""
    if os.cpu_count() < 2:
        return
    path = t.folder / "config"
    path.write_text(json.dumps({"limit": t.limit, "placement": "gather", "tiers": [
        {"kind": "ram", "size": "16M"},
        {"kind": "file", "path": str(t.folder), "size": t.memory}]}))
    options = (f"config={path}",) if t.way == "backend" else ("--config", str(path))
    with t.machine(ram=t.ram_by(tiers=(), options=options)) as vm:
        vm.wait_ready()
        with seen_bound(vm.process.pid) as seen:
            t.fill_all(vm)
            for pattern in ("uniform", "zipf", "sequential"):
                vm.ask(f"touch {pattern} seconds=1 writes=40 threads={t.cpus}")
            t.verify(vm)
        t.expect(len(seen) > 1, "threads were gathered")
        t.wait_for("every thread has its CPUs back", lambda: not bound_threads(vm.process.pid))
        t.verify(vm)
        t.expect_swapping(vm)
        t.expect_within_limit(vm)
        vm.power_off()


@once
def test_damage_is_noticed(t):
    """A changed bit in a few pages is found, in as many pages and no more."""
    with t.machine() as vm:
        vm.wait_ready()
        t.fill_all(vm)
        vm.ask("damage pages=5")
        t.expect(vm.ask(f"verify threads={t.cpus}").bad == 5, "five pages are wrong")
        t.expect(vm.ask(f"verify threads={t.cpus}").bad == 5, "they are told once")
        vm.power_off()
