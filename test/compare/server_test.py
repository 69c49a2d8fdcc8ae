# SPDX-License-Identifier: BSD-3-Clause
"""From runs of servers to the table, and what the servers are told."""
import unittest

from comparelib import server_report
from comparelib.server_pairs import ServerSetting, tiers_of
from comparelib.servers import SERVERS, managed_command
from comparelib.sizes import MIB

SETTING = ServerSetting(programs="/build", limit=128 * MIB)


def side(rate, p99, cpu):
    """One side's run."""
    figures = {"operations": 1000, "per_second": rate, "p99_us": p99, "wrong": 0, "missing": 0,
               "cpu_server": cpu / 2, "cpu_kernel_threads": cpu / 2,
               "memory": {"sum_mean": 128 * MIB}}
    return {"phases": {"mixed": figures}}


class Report(unittest.TestCase):
    """Markdown."""

    def test_more_is_better_for_the_library_in_throughput_and_tail(self):
        """Twice as fast, a quarter of the tail, half of the CPU."""
        pair = {"rival": side(1000, 4000, 2.0), "library": side(2000, 1000, 1.0)}
        line = server_report.rows_of({"server": "redis", "rival": "zram", "pairs": [pair],
                                      "failures": []})[0]
        cells = [cell.strip() for cell in line.split("|")]
        self.assertEqual(cells[3:9], ["1.0 : 2.0", "2.00 (2.00-2.00)", "4.00 : 1.00",
                                      "4.00 (4.00-4.00)", "2000 : 1000", "0.50 (0.50-0.50)"])
        self.assertEqual(cells[9], "128 : 128")

    def test_a_server_that_failed_each_time_has_a_line(self):
        """With the reason."""
        lines = server_report.rows_of({"server": "redis", "rival": "zram", "pairs": [],
                                       "failures": ["out of memory"]})
        self.assertIn("out of memory", lines[0])

    def test_columns_are_as_many_as_heads(self):
        """In every line."""
        pair = {"rival": side(1, 1, 1.0), "library": side(1, 1, 1.0)}
        for pairs in ([pair], []):
            line = server_report.rows_of({"server": "s", "rival": "r", "pairs": pairs,
                                          "failures": ["f"]})[0]
            self.assertEqual(line.count("|"), server_report.HEAD.count("|"))


class Commands(unittest.TestCase):
    """What is run."""

    def test_the_library_has_the_rivals_kind_of_swap(self):
        """Compressed memory, or a file."""
        self.assertTrue(tiers_of("zram", SETTING)[0].startswith("ram:"))
        self.assertTrue(tiers_of("disk", SETTING)[0].startswith("file:/var/tmp:"))

    def test_all_data_fits_one_area(self):
        """So that one thread serves it."""
        for server in SERVERS.values():
            words = managed_command(server, "/build", "/s", SETTING.limit, SETTING.data, ["ram:1M"],
                                    "/j")
            area = int(words[words.index("--area") + 1][:-1]) * MIB
            self.assertGreater(area, server.address_space(SETTING.data))


if __name__ == "__main__":
    unittest.main()
