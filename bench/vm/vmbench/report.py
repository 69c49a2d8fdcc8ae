# SPDX-License-Identifier: BSD-3-Clause
"""Results as Markdown."""
from comparelib.machine import describe_text

from .summary import OFF, mean, pressed_rows, resident_rows, rival_of, targets

MIB = 1 << 20


def ratio_text(row):
    """With the lowest and highest of the pairs."""
    if not row["pairs"]:
        return "–"
    return f"**{row['ratio']:.2f}** ({row['low']:.2f}–{row['high']:.2f})"


def failed_text(row):
    """Runs that failed, twice each."""
    found = [f"{side} failed {count}×" for side, count in row["failed"].items() if count]
    return f" ({', '.join(found)})" if found else ""


def memory_text(row, limit):
    """MiB of both, marked where it is off."""
    def one(size):
        mark = "!" if abs(size - limit) > OFF * limit else ""
        return f"{size / MIB:.0f}{mark}"
    return f"{one(row['memory']['rival'])} : {one(row['memory']['library'])}"


def pressed_table(data):
    """Lines."""
    rows = list(pressed_rows(data))
    if not rows:
        return []
    lines = ["| cell | kernel swap, k touches/s | library | ratio | memory, MiB |",
             "|---|---|---|---|---|"]
    lines += [f"| {row['name']}{failed_text(row)} | {row['rival'] / 1e3:.1f} | "
              f"{row['library'] / 1e3:.1f} | {ratio_text(row)} | "
              f"{memory_text(row, data['setting']['limit'])} |" for row in rows]
    for rival in dict.fromkeys(rival_of(row) for row in rows):
        found = [row for row in rows if rival_of(row) == rival]
        lines.append(f"| geometric mean, {rival} | | | **{mean(found):.2f}** | |")
    return [*lines, ""]


def resident_table(data):
    """Lines."""
    if not data["resident"]:
        return []
    boot, *patterns = resident_rows(data)
    lines = ["| memory for everything | plain QEMU | library | ratio |", "|---|---|---|---|",
             f"| {boot['name']} | {boot['rival']:.2f} | {boot['library']:.2f} | "
             f"{ratio_text(boot)} |"]
    lines += [f"| {row['name']}, k touches/s | {row['rival'] / 1e3:.0f} | "
              f"{row['library'] / 1e3:.0f} | {ratio_text(row)} |" for row in patterns]
    return [*lines, ""]


def verdict(data):
    """Lines."""
    lines = ["| target | | |", "|---|---|---|"]
    for found in targets(data):
        word = "reached" if found["reached"] else "**missed**"
        lines.append(f"| {found['what']} | {word}: {found['figure']:.3f} | {found['where']} |")
    return [*lines, ""]


def report(data):
    """All of it."""
    setting = data["setting"]
    head = (f"{setting['qemu_version']}, {setting['accelerator']}, {setting['cpus']} virtual CPU, "
            f"{setting['memory'] // MIB} MiB of guest RAM, limit {setting['limit'] // MIB} MiB, "
            f"{setting['writes']} % writes, library: {setting['way']} "
            f"{' '.join(setting['options'])}; QEMU itself takes {data['base'] / MIB:.0f} MiB, "
            "which both sides have on top")
    return "\n".join([f"**Machine.** {describe_text(data['machine'])}.", "", f"**Guest.** {head}.",
                      "", *verdict(data), *pressed_table(data), *resident_table(data)])
