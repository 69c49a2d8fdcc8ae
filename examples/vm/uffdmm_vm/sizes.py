# SPDX-License-Identifier: BSD-3-Clause
"""Sizes as QEMU and uffdmm-run take them, and as people read them."""
import re

UNITS = {"K": 10, "M": 20, "G": 30}


def parse_size(text):
    """Bytes of "512M". Raises ValueError."""
    found = re.fullmatch(r"([1-9][0-9]*)([KMG])", text)
    if not found:
        raise ValueError(f'"{text}" is not allowed; allowed: sizes like 256M, 1G')
    return int(found[1]) << UNITS[found[2]]


def mib(size):
    """Bytes as whole MiB, in text without the unit."""
    return str(round(size / (1 << 20)))


def short(number):
    """A count in three or four characters and a unit: 950, 1.2 k, 69 k, 1.0 M."""
    for unit, scale in (("M", 1e6), ("k", 1e3)):
        if number >= 0.9995 * scale:
            scaled = number / scale
            return f"{scaled:.1f} {unit}" if scaled < 9.95 else f"{scaled:.0f} {unit}"
    return f"{number:.0f}"
