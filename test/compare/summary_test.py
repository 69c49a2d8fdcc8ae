# SPDX-License-Identifier: BSD-3-Clause
"""From runs to figures, verdicts and the table."""
import os
import tempfile
import unittest

from comparelib import table
from comparelib.cells import Cell, chosen, cell_list
from comparelib.sizes import MIB
from comparelib.store import Store
from comparelib.summary import geometric_mean, summarise
from comparelib.targets import Verdict, means, verdicts

LIMIT = 1000
CELL = Cell("zram", "uniform", 2.0, 4.0)


def phase(rate=100.0, p99=10.0, cpu=1.0, total=LIMIT, wrong=0):
    """Figures of a phase of one second."""
    return {"touches": int(rate), "touches_per_second": rate, "seconds": 1.0, "wrong": wrong,
            "latency_us": {"p50": 1.0, "p90": 2.0, "p99": p99, "p999": 20.0, "max": 30.0},
            "cpu_user": cpu / 4, "cpu_system": cpu / 2, "cpu_kernel_threads": cpu / 4,
            "cpu_machine": cpu, "cpu_ballast": 0.0,
            "memory": {"usage_mean": total, "usage_peak": total, "held_mean": 0, "held_peak": 0,
                       "sum_mean": total, "sum_peak": total},
            "library": {"region_bytes": 10000, "metadata_bytes": 60, "page_table_bytes": 40}}


def run(**figures):
    """One side's run."""
    counted = {**phase(**figures), "rss": [[0, 50 * MIB], [0.1, 45 * MIB]]}
    return {"outcome": "ok", "limit": LIMIT, "program_rss": 5 * MIB, "phases": {"run": counted}}


def pair(rival=None, library=None):
    """A pair of runs; figures differ as said."""
    return {"rival": run(**(rival or {})), "library": run(**(library or {}))}


LOST = {"rival": {"outcome": "oom", "why": "killed"}, "library": run()}


class SummaryTest(unittest.TestCase):
    def test_geometric_mean(self):
        self.assertAlmostEqual(geometric_mean([1, 4]), 2)
        self.assertAlmostEqual(geometric_mean([0.5, 2, 1]), 1)
        self.assertIsNone(geometric_mean([]))

    def test_ratios_are_of_pairs_and_their_median_is_shown(self):
        pairs = [pair({"rate": 100}, {"rate": 200}), pair({"rate": 50}, {"rate": 150}),
                 pair({"rate": 10}, {"rate": 100})]
        self.assertEqual(summarise(CELL, pairs)["ratios"]["throughput"],
                         {"median": 3, "low": 2, "high": 10})

    def test_a_shorter_tail_and_less_cpu_are_told_the_right_way_round(self):
        row = summarise(CELL, [pair({"p99": 30, "cpu": 1}, {"p99": 10, "cpu": 2})])
        self.assertAlmostEqual(row["ratios"]["p99"]["median"], 3)
        self.assertAlmostEqual(row["ratios"]["cpu"]["median"], 2)

    def test_memory_that_is_not_equal_is_marked(self):
        fair = summarise(CELL, [pair({"total": 1029}, {"total": 971})])
        self.assertEqual(fair["unequal"], [])
        rival = summarise(CELL, [pair({"total": 960}, {})])
        self.assertEqual(rival["unequal"], ["rival"])
        self.assertIn("! rival memory -4.0%", table.row_text(rival))
        self.assertEqual(summarise(CELL, [pair({}, {"total": 1031})])["unequal"], ["library"])

    def test_lost_pairs_are_counted_not_averaged(self):
        row = summarise(CELL, [pair({}, {"rate": 300}), LOST])
        self.assertEqual(row["lost"], 1)
        self.assertEqual(row["ratios"]["throughput"]["median"], 3)
        self.assertIn("1 pairs lost", table.row_text(row))

    def test_a_cell_without_figures_says_why(self):
        self.assertIn("oom", summarise(CELL, [LOST])["state"])
        too_big = summarise(Cell("zram", "uniform", 4.0, 4.0), [])
        self.assertIn("does not fit", table.row_text(too_big))

    def test_every_meter_of_memory_is_printed(self):
        row = summarise(CELL, [pair({"total": 1100 * MIB}, {})])
        self.assertEqual(row["rival"]["rss_peak"], 45 * MIB)
        text = table.closing_text([row])
        self.assertIn("1100 + 0, sum 1100; 45", text)

    def test_a_machine_busy_with_other_things_gives_no_ratio(self):
        busy = pair()
        busy["rival"]["phases"]["run"]["cpu_machine"] = -0.1
        rows = [summarise(CELL, [busy])]
        self.assertIsNone(means(rows)["zram"]["machine"])
        self.assertIn("whole machine ?", table.closing_text(rows))

    def test_wrong_contents_are_shouted(self):
        row = summarise(CELL, [pair({}, {"wrong": 1})])
        self.assertIn("WRONG library", table.row_text(row))


class VerdictTest(unittest.TestCase):
    def rows(self, *ratios):
        return [summarise(CELL, [pair({}, {"rate": 100 * ratio})]) for ratio in ratios]

    def find(self, rows, start):
        return next(v for v in verdicts(rows) if v.target.startswith(start))

    def test_the_worst_cell_decides_where_every_cell_counts(self):
        verdict = self.find(self.rows(3.0, 0.5, 2.0), "no cell")
        self.assertFalse(verdict.reached)
        self.assertIn("1 of 3 below", verdict.where)
        self.assertIn("missed by a factor of 2.00", verdict.text())

    def test_the_mean_decides_where_a_mean_counts(self):
        self.assertTrue(self.find(self.rows(1.0, 4.0), "zram: geometric mean of thr").reached)
        self.assertFalse(self.find(self.rows(1.0, 1.2), "zram: geometric mean of thr").reached)

    def test_what_was_not_measured_has_no_verdict(self):
        verdict = self.find(self.rows(2.0), "disk: geometric mean of thr")
        self.assertIsNone(verdict.reached)
        self.assertEqual(verdict.text(), "not measured")

    def test_at_most_is_the_other_way_round(self):
        self.assertTrue(Verdict("cpu", 1.1, 1.2, at_most=True).reached)
        self.assertIn("missed by a factor of 2.00", Verdict("cpu", 2.4, 1.2, at_most=True).text())

    def test_metadata_is_judged_as_a_share_of_the_region(self):
        verdict = self.find(self.rows(1.0), "metadata")
        self.assertAlmostEqual(verdict.figure, 0.6)
        self.assertFalse(verdict.reached)

    def test_means_are_by_rival(self):
        self.assertAlmostEqual(means(self.rows(1.0, 4.0))["zram"]["throughput"], 2)
        self.assertNotIn("disk", means(self.rows(1.0)))


class StoreTest(unittest.TestCase):
    def test_results_come_back_as_they_were(self):
        with tempfile.TemporaryDirectory() as folder:
            store = Store.new(f"{folder}/r.json", {}, {})
            store.pairs(CELL).append(pair({}, {"rate": 200}))
            store.save()
            again = Store.load(f"{folder}/r.json")
            self.assertEqual(os.listdir(folder), ["r.json"])
        self.assertEqual(again.cells(), [CELL])
        self.assertEqual(again.rows()[0]["ratios"]["throughput"]["median"], 2)

    def test_cells_are_chosen_by_patterns(self):
        names = [cell.name for cell in chosen(cell_list(), ["zram/zipf*", "disk/stride*"])]
        self.assertEqual({name.split("/")[0] for name in names}, {"zram", "disk"})
        self.assertEqual(len(chosen(cell_list(), None)), len(cell_list()))


if __name__ == "__main__":
    unittest.main()
