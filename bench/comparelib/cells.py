# SPDX-License-Identifier: BSD-3-Clause
"""Cells of the table: one rival, one workload.

The full product of what can vary would run for days. So every pattern is measured against every
rival at one set of values, and then one value at a time is varied.
"""
import dataclasses
import fnmatch

RIVALS = ("zram", "disk", "zswap")
PATTERNS = ("uniform", "zipf", "sequential", "stride", "scan+zipf", "phases")
# Compressed RAM alone has to hold everything; the others have a disk behind it.
USUAL_RATIO = {"zram": 4.0, "disk": 2.0, "zswap": 2.0}


@dataclasses.dataclass(frozen=True)
class Cell:
    """`factor`: region / limit. `populate`: the first touch of every page is what is measured."""
    rival: str
    pattern: str
    factor: float = 2.0
    compressibility: float = 2.0
    writes: int = 0
    threads: int = 1
    same_filled: int = 0
    first_touch: str = "contents"

    @property
    def populate(self):
        """Whether the first phase is the one that counts."""
        return self.pattern == "populate"

    @property
    def phase(self):
        """Name of the phase that counts."""
        return "populate" if self.populate else "run"

    @property
    def workload(self):
        """What tells cells of one rival apart."""
        parts = [self.pattern, f"{self.factor:g}x", f"{self.compressibility:g}to1",
                 f"w{self.writes}", f"t{self.threads}"]
        parts += [f"same{self.same_filled}"] if self.same_filled else []
        parts += [self.first_touch] if self.first_touch != "contents" else []
        return "/".join(parts)

    @property
    def name(self):
        """Unique, and what --cells matches."""
        return f"{self.rival}/{self.workload}"


def variations(rival):
    """(what is different from the usual cell, whether only --full has it)."""
    yield {"pattern": "uniform", "threads": 2}, False
    yield {"pattern": "uniform", "threads": 4}, True
    yield {"pattern": "zipf", "threads": 2}, True
    yield {"pattern": "zipf", "threads": 4, "writes": 50}, False
    yield {"pattern": "uniform", "writes": 50}, False
    yield {"pattern": "uniform", "writes": 100}, False
    yield {"pattern": "sequential", "writes": 100}, True
    yield {"pattern": "uniform", "same_filled": 20}, False
    if rival == "zram":
        yield {"pattern": "uniform", "factor": 1.5, "compressibility": 2.0}, False
        yield {"pattern": "zipf", "factor": 1.5, "compressibility": 2.0}, True
        yield {"pattern": "uniform", "factor": 1.5, "compressibility": 1.0}, False
        yield {"pattern": "uniform", "factor": 4.0}, False
        yield {"pattern": "uniform", "factor": 3.0}, False
        yield {"pattern": "uniform", "factor": 4.0, "compressibility": 8.0}, True
        yield {"pattern": "populate", "factor": 0.75}, False
        yield {"pattern": "populate", "factor": 0.75, "first_touch": "word"}, True
        yield {"pattern": "populate", "factor": 2.0, "first_touch": "read"}, True
    else:
        yield {"pattern": "uniform", "compressibility": 1.0}, False
        yield {"pattern": "uniform", "compressibility": 4.0}, rival == "disk"
        yield {"pattern": "uniform", "factor": 4.0}, False
        yield {"pattern": "zipf", "factor": 4.0}, True
        yield {"pattern": "sequential", "factor": 4.0}, True


def usual_cells(rival):
    """Every pattern, one thread, read only."""
    ratio = USUAL_RATIO[rival]
    for pattern in ("populate", *PATTERNS):
        yield Cell(rival, pattern, compressibility=ratio)


def cells_of(rival, full=False):
    """The cells against one rival."""
    cells = list(usual_cells(rival))
    for different, only_full in variations(rival):
        if full or not only_full:
            cells.append(Cell(rival, **{"compressibility": USUAL_RATIO[rival], **different}))
    return cells


def cell_list(kind="default"):
    """All cells of "quick", "default" or "full"."""
    if kind == "quick":
        quick = ("populate", "uniform", "zipf", "sequential", "scan+zipf")
        return [cell for rival in RIVALS for cell in usual_cells(rival) if cell.pattern in quick]
    return [cell for rival in RIVALS for cell in cells_of(rival, kind == "full")]


def chosen(cells, globs):
    """Those whose name matches one of the patterns; all without patterns."""
    return [cell for cell in cells
            if not globs or any(fnmatch.fnmatchcase(cell.name, glob) for glob in globs)]
