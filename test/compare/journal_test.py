# SPDX-License-Identifier: BSD-3-Clause
"""What a run changes is undone, whatever ends it."""
import contextlib
import io
import json
import os
import signal
import tempfile
import unittest

from comparelib.interrupts import INTERRUPTS, Interrupts, Stopped
from comparelib.journal import Busy, Journal, process_start
from comparelib.undo import undo_group, undo_unlink, undo_write


class JournalTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = f"{folder.name}/state.json"
        self.undone = []

    def journal(self):
        return Journal(self.path, {"thing": self.undone.append, "bad": self.fail_to_undo})

    def fail_to_undo(self, _name):
        raise OSError("it is stuck")

    def leave_behind(self, pid, started, *entries):
        with open(self.path, "w", encoding="utf-8") as file:
            json.dump({"pid": pid, "started": started, "entries": entries}, file)

    def test_undoes_the_last_change_first(self):
        with self.journal() as journal:
            with journal.change("thing", "a"), journal.change("thing", "b"):
                self.assertEqual(self.undone, [])
        self.assertEqual(self.undone, ["b", "a"])
        self.assertFalse(os.path.exists(self.path))

    def test_undoes_what_an_exception_interrupts(self):
        with self.assertRaises(ZeroDivisionError), self.journal() as journal:
            with journal.change("thing", "a"):
                raise ZeroDivisionError
        self.assertEqual(self.undone, ["a"])

    def test_notes_a_change_before_it_is_made(self):
        with self.journal() as journal, journal.change("thing", "a"):
            with open(self.path, encoding="utf-8") as file:
                self.assertEqual(json.load(file)["entries"], [["thing", "a"]])

    def test_undoes_what_a_killed_run_left(self):
        self.leave_behind(os.getpid(), "another start", ["thing", "a"], ["thing", "b"])
        with contextlib.redirect_stderr(io.StringIO()) as told, self.journal():
            self.assertEqual(self.undone, ["b", "a"])
        self.assertIn("left behind", told.getvalue())

    def test_refuses_while_another_run_lives(self):
        self.leave_behind(os.getpid(), process_start(os.getpid()), ["thing", "a"])
        with self.assertRaises(Busy):
            with self.journal():
                pass
        self.assertEqual(self.undone, [])

    def test_goes_on_undoing_after_a_failure_and_keeps_a_note_of_it(self):
        with contextlib.redirect_stderr(io.StringIO()) as told:
            with self.journal() as journal:
                with journal.change("thing", "a"), journal.change("bad", "b"):
                    pass
        self.assertEqual(self.undone, ["a"])
        self.assertIn("it is stuck", told.getvalue())
        with open(self.path, encoding="utf-8") as file:
            self.assertEqual(json.load(file)["entries"], [["bad", "b"]])

    def test_a_torn_note_is_no_obstacle(self):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write("{")
        with self.journal():
            pass
        self.assertEqual(self.undone, [])

    def test_a_signal_waits_for_the_end_of_undoing(self):
        def undo(_name):
            INTERRUPTS.arrive(signal.SIGINT)
            self.undone.append("to the end")
        with self.assertRaises(Stopped):
            with Journal(self.path, {"thing": undo}) as journal, journal.change("thing", "a"):
                pass
        self.assertEqual(self.undone, ["to the end"])
        self.assertFalse(os.path.exists(self.path))


class InterruptsTest(unittest.TestCase):
    def test_a_signal_is_an_exception_at_once_where_nothing_holds_it(self):
        with self.assertRaises(Stopped):
            Interrupts().arrive(signal.SIGTERM)

    def test_held_signals_arrive_at_the_outermost_end(self):
        interrupts = Interrupts()
        reached = []
        with self.assertRaises(Stopped):
            with interrupts.hold():
                with interrupts.hold():
                    interrupts.arrive(signal.SIGTERM)
                reached.append("after the inner one")
        self.assertEqual(reached, ["after the inner one"])


class UndoTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def test_what_was_never_made_counts_as_undone(self):
        undo_unlink(f"{self.folder}/nothing")
        undo_group(f"{self.folder}/nothing")
        undo_write(f"{self.folder}/nothing", "N")

    def test_a_knob_gets_its_old_text(self):
        path = f"{self.folder}/knob"
        with open(path, "w", encoding="ascii") as knob:
            knob.write("Y\n")
        undo_write(path, "N")
        with open(path, encoding="ascii") as knob:
            self.assertEqual(knob.read(), "N")


if __name__ == "__main__":
    unittest.main()
