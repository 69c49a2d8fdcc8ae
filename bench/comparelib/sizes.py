# SPDX-License-Identifier: BSD-3-Clause
"""Byte sizes as people write them."""
import re

KIB = 1 << 10
MIB = 1 << 20
PAGE = 4096
UNITS = {"": 1, "K": KIB, "M": MIB, "G": 1 << 30}


def parse_size(text):
    """"256M" in bytes. Raises ValueError saying what is allowed."""
    found = re.fullmatch(r"(\d+)([KMG]?)", text.strip().upper())
    if not found:
        raise ValueError(f'"{text}" is no size; allowed: a number with K, M or G, e.g. 256M')
    return int(found[1]) * UNITS[found[2]]


def mib(size):
    """Bytes in MiB, rounded to a whole number."""
    return round(size / MIB)
