# SPDX-License-Identifier: BSD-3-Clause
"""What the command lines of the programs here have in common."""
import argparse
import contextlib
import signal

from .sizes import parse_size


class Stopped(BaseException):
    """A signal asked for the end."""


def stop_on(number, _frame):
    """For signal()."""
    raise Stopped(signal.Signals(number).name)


@contextlib.contextmanager
def stopped_by_signals():
    """In the block SIGINT, SIGTERM and SIGHUP raise Stopped, so that nothing is left behind."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop_on)
    yield


def size(text):
    """For argparse, which shows this error's text only."""
    try:
        parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def between(least, most):
    """A number in that range, for argparse."""
    def convert(text):
        if not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(
                f'"{text}" is not allowed; allowed: {least} to {most}')
        return int(text)
    return convert
