# SPDX-License-Identifier: BSD-3-Clause
"""Ctrl-C and its kin as an exception that waits while something is being undone."""
import contextlib
import signal

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """A signal asked the program to end. No Exception, so that no retry swallows it."""

    def __init__(self, number):
        super().__init__(signal.Signals(number).name)
        self.number = number


class Interrupts:
    """Signals of the process. Python runs handlers in the main thread, which alone may hold()."""

    def __init__(self):
        self.depth = 0
        self.pending = None

    def install(self):
        """From now on each of SIGNALS raises Stopped in the main thread."""
        for number in SIGNALS:
            signal.signal(number, lambda number, _frame: self.arrive(number))

    def arrive(self, number):
        """A signal came."""
        if self.depth:
            self.pending = number
        else:
            raise Stopped(number)

    @contextlib.contextmanager
    def hold(self):
        """Signals that come within are raised at its end."""
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1
            if self.depth == 0 and self.pending is not None:
                number, self.pending = self.pending, None
                raise Stopped(number)


INTERRUPTS = Interrupts()
