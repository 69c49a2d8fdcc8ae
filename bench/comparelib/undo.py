# SPDX-License-Identifier: BSD-3-Clause
"""How each kind of change is undone; what is gone already is no error."""
import contextlib
import os
import subprocess
import time

from .knobs import read_knob, write_knob


def swap_areas():
    """Swap devices and files that are on."""
    with open("/proc/swaps", encoding="utf-8") as swaps:
        return [line.split()[0] for line in swaps.readlines()[1:]]


def undo_swapon(path):
    """The session of its own keeps Ctrl-C of the terminal away from it.

    Processes that swapped there have to be gone: for those in a full control group it fails.
    """
    if os.path.realpath(path) in map(os.path.realpath, swap_areas()):
        subprocess.run(["swapoff", path], check=True, start_new_session=True)


def undo_zram(number):
    """Resets and removes /dev/zramN."""
    if not os.path.exists(f"/sys/block/zram{number}"):
        return
    for attempt in range(20):
        try:
            write_knob(f"/sys/block/zram{number}/reset", 1)
            write_knob("/sys/class/zram-control/hot_remove", number)
            return
        except OSError:  # somebody looks at the new device for a moment
            if attempt == 19:
                raise
            time.sleep(0.1)


def undo_unlink(path):
    """Removes a file."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def undo_write(path, text):
    """Gives a knob its old text."""
    if os.path.exists(path) and read_knob(path) != text:
        write_knob(path, text)


def undo_group(path):
    """Kills the processes of a control group and removes it."""
    for _ in range(100):
        if not os.path.isdir(path):
            return
        for pid in read_knob(f"{path}/cgroup.procs").split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), 9)
        with contextlib.suppress(OSError):
            os.rmdir(path)
            return
        time.sleep(0.05)
    raise OSError(f"{path} cannot be removed")


UNDO = {
    "swapon": undo_swapon,
    "zram": undo_zram,
    "unlink": undo_unlink,
    "write": undo_write,
    "group": undo_group,
}
