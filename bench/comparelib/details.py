# SPDX-License-Identifier: BSD-3-Clause
"""What a comparison costs beyond touches: CPU of the machine, and every meter of memory."""
from .sizes import MIB

HEAD = ("cell", "CPU of the machine, us/touch", "rival's peaks, MiB: group + held = sum; RSS",
        "library's peaks: group; RSS; own count")
WIDTHS = (37, 28, 44, 0)


def whole(size):
    """MiB, or a question mark."""
    return "?" if size is None else f"{size / MIB:.0f}"


def peaks_of(side):
    """(group, held, sum) in words."""
    memory = side["memory"] or {}
    return [whole(memory.get(name)) for name in ("usage_peak", "held_peak", "sum_peak")]


def detail_row(row):
    """The texts of a row with figures. The peaks of group and held are not of one moment."""
    rival, library = row["rival"], row["library"]
    group, held, both = peaks_of(rival)
    return (row["cell"].name,
            f"{rival['machine_per_touch']:.2f} : {library['machine_per_touch']:.2f}",
            f"{group} + {held}, sum {both}; {whole(rival['rss_peak'])}",
            f"{peaks_of(library)[0]}; {whole(library['rss_peak'])}; {whole(library['own_peak'])}")
