# SPDX-License-Identifier: BSD-3-Clause
"""Files of the kernel that hold one value."""


def read_knob(path):
    """Its text, without the line end."""
    with open(path, encoding="ascii", errors="replace") as knob:
        return knob.read().strip()


def write_knob(path, value):
    """Sets it; raises OSError if the kernel refuses."""
    with open(path, "w", encoding="ascii") as knob:
        knob.write(str(value))


def fields_of(path, separator=None):
    """A file of lines `name value ...` as {name: first value}, numbers only."""
    with open(path, encoding="ascii", errors="replace") as file:
        rows = (line.split(separator, 1) for line in file)
        rows = ((row[0].strip(), row[1].split()[0]) for row in rows if len(row) == 2)
        return {name: int(value) for name, value in rows if value.lstrip("-").isdigit()}
