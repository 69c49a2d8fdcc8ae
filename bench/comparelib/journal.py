# SPDX-License-Identifier: BSD-3-Clause
"""What a run changes on the machine, written down before it is changed.

    with Journal() as journal:                  # undoes what a killed run left behind
        with journal.change("unlink", path):    # noted, then changed inside
            make(path)
                                                # undone, whatever happened

The notes are in a file, so that the next run can undo what a killed one (kill -9, out of memory)
could not. One run at a time: while the owner of the file lives, others are refused. Undoing is
idempotent, and a change that was noted but never made counts as undone.
"""
import contextlib
import json
import os
import sys

from .interrupts import INTERRUPTS
from .undo import UNDO

STATE_FILE = "/run/uffdmm-compare.json"


class Busy(RuntimeError):
    """Another run owns the machine's swap."""


def process_start(pid):
    """Tells a process from a later one of the same number; None if there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[19]
    except OSError:
        return None


class Journal:
    """The list of changes. `undo`: functions by kind of change."""

    def __init__(self, path=STATE_FILE, undo=None):
        self.path = path
        self.functions = UNDO if undo is None else undo
        self.entries = []

    def __enter__(self):
        self.recover()
        self.save()
        return self

    def __exit__(self, *_error):
        self.undo_all()

    def recover(self):
        """Undoes what a run that is no more has left. Raises Busy if it is still going."""
        try:
            with open(self.path, encoding="utf-8") as file:
                left = json.load(file)
        except (FileNotFoundError, ValueError):
            return
        if process_start(left["pid"]) == left["started"]:
            raise Busy(f"process {left['pid']} is at it already ({self.path})")
        self.entries = left["entries"]
        if self.entries:
            print(f"undoing what process {left['pid']} left behind", file=sys.stderr)
        self.undo_all()

    @contextlib.contextmanager
    def change(self, kind, *arguments):
        """The change is to be made within, and is undone at the end."""
        with INTERRUPTS.hold():
            entry = [kind, *arguments]
            self.entries.append(entry)
            self.save()
        try:
            yield
        finally:
            self.undo(entry)

    def undo(self, entry):
        """A failure is told and stays in the file."""
        with INTERRUPTS.hold():
            try:
                self.functions[entry[0]](*entry[1:])
            except Exception as error:  # pylint: disable=broad-except
                print(f"could not undo {' '.join(map(str, entry))}: {error}", file=sys.stderr)
                return
            self.entries.remove(entry)
            self.save()

    def undo_all(self):
        """Last change first."""
        for entry in reversed(list(self.entries)):
            self.undo(entry)
        if not self.entries:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)

    def save(self):
        """In one step: a reader finds the old or the new list."""
        pid = os.getpid()
        state = {"pid": pid, "started": process_start(pid), "entries": self.entries}
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            json.dump(state, file)
        os.rename(self.path + ".new", self.path)
