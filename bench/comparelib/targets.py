# SPDX-License-Identifier: BSD-3-Clause
"""What the comparison must reach, and by how much it does not."""
import dataclasses

from .cells import RIVALS
from .summary import geometric_mean, machine_ratio

MEAN_TARGET = {"zram": 1.5, "disk": 2.0, "zswap": 2.0}
SCAN_TARGET = {"zram": 5.0, "disk": 3.0}
SCAN_ZIPF_TARGET = 2.0
TAIL_TARGET = 3.0
CPU_TARGET = 1.2
METADATA_TARGET = 0.005


@dataclasses.dataclass
class Verdict:
    """`figure` is None where nothing was measured for a target."""
    target: str
    figure: object
    wanted: float
    at_most: bool = False
    where: str = ""
    decimals: int = 2

    @property
    def reached(self):
        """Whether, None if not measured."""
        if self.figure is None:
            return None
        return self.figure <= self.wanted if self.at_most else self.figure >= self.wanted

    def text(self):
        """In words."""
        if self.figure is None:
            return "not measured"
        figure = f"{self.figure:.{self.decimals}f}"
        if self.reached:
            return f"reached: {figure}"
        factor = self.figure / self.wanted if self.at_most else self.wanted / self.figure
        return f"missed by a factor of {factor:.2f}: {figure}"


def worst(target, rows, figure, wanted, name="throughput"):
    """Verdict on the row with the smallest ratio."""
    if not rows:
        return Verdict(target, None, wanted)
    row = min(rows, key=figure)
    below = sum(1 for r in rows if figure(r) < wanted)
    where = f"{row['cell'].name}; {below} of {len(rows)} below" if below else row["cell"].name
    return Verdict(target, figure(row), wanted, where=where)


def ratio_of(name):
    """A row's median of a ratio."""
    return lambda row: row["ratios"][name]["median"]


def of_rival(rows, rival):
    """Its rows."""
    return [row for row in rows if row["cell"].rival == rival]


def throughput_verdicts(rows):
    """Never below, means, scans."""
    ratio = ratio_of("throughput")
    yield worst("no cell's throughput below 1", rows, ratio, 1.0)
    for rival in RIVALS:
        mean = geometric_mean(map(ratio, of_rival(rows, rival)))
        yield Verdict(f"{rival}: geometric mean of throughput", mean, MEAN_TARGET[rival])
    for rival, wanted in SCAN_TARGET.items():
        for pattern in ("sequential", "stride"):
            scans = [row for row in of_rival(rows, rival) if row["cell"].pattern == pattern]
            yield worst(f"{rival}: {pattern}", scans, ratio, wanted)
    for rival in RIVALS:
        mixed = [row for row in of_rival(rows, rival) if row["cell"].pattern == "scan+zipf"]
        yield worst(f"{rival}: scan+zipf", mixed, ratio, SCAN_ZIPF_TARGET)


def metadata_verdict(shares):
    """The largest share; small regions have more of what does not grow with them."""
    most = max(shares, key=lambda share: share["all"], default=None)
    return Verdict("metadata, % of the region", most and most["all"] * 100, METADATA_TARGET * 100,
                   at_most=True,
                   where=f"page tables {most['page_table'] * 100:.2f} %" if most else "")


def verdicts(rows):
    """All of them, for rows of summarise() that have figures."""
    rows = [row for row in rows if not row["state"]]
    yield from throughput_verdicts(rows)
    yield worst("p99 of a touch at most a third of the rival's", rows, ratio_of("p99"),
                TAIL_TARGET)
    for rival in RIVALS:
        mean = geometric_mean(map(ratio_of("cpu"), of_rival(rows, rival)))
        yield Verdict(f"{rival}: geometric mean of CPU per touch", mean, CPU_TARGET, at_most=True)
    yield metadata_verdict([row["metadata"] for row in rows if row["metadata"]])


def means_of(rows):
    """{ratio: geometric mean}."""
    found = {name: geometric_mean(map(ratio_of(name), rows))
             for name in ("throughput", "p99", "cpu")}
    machine = [ratio for ratio in map(machine_ratio, rows) if ratio is not None]
    return {**found, "machine": geometric_mean(machine)}


def means(rows):
    """{rival: {ratio: geometric mean}} of what was measured."""
    rows = [row for row in rows if not row["state"]]
    return {rival: means_of(of_rival(rows, rival)) for rival in RIVALS if of_rival(rows, rival)}


def figure_text(figure):
    """Of a mean."""
    return "?" if figure is None else f"{figure:.2f}"
