# SPDX-License-Identifier: BSD-3-Clause
"""Equal memory: the controller's step, what fits, what tiers are given, what meters mean."""
import os
import shutil
import tempfile
import unittest

from comparelib import cpu
from comparelib.cells import Cell, cell_list
from comparelib.cgroup import MemoryGroup, find_hierarchy, memory_group
from comparelib.controller import MemoryWatch, Sample, memory_figures, next_ballast
from comparelib.fits import does_not_fit, resident_share
from comparelib.journal import Journal
from comparelib.sides import Setting, kernel_command, library_command, limit_of, pool_of, region_of
from comparelib.sizes import MIB, PAGE, parse_size
from comparelib.undo import undo_write


class BallastStepTest(unittest.TestCase):
    def settle(self, share):
        """Steps where zram holds `share` of what the workload has too little. Sizes on the way."""
        budget, region, ballast, sizes = 128 * MIB, 256 * MIB, 0, []
        for _ in range(40):
            held = int((region - (budget - ballast)) * share)
            ballast = next_ballast(ballast, budget, held)
            sizes.append(ballast)
        return sizes, held

    def test_settles_at_what_is_held(self):
        sizes, held = self.settle(0.25)
        self.assertLess(abs(sizes[-1] - held), 0.003 * 128 * MIB)
        self.assertEqual(sizes[-1], sizes[-2])

    def test_does_not_overshoot(self):
        sizes, _ = self.settle(0.3)
        self.assertEqual(sizes, sorted(sizes))

    def test_small_changes_are_not_worth_it(self):
        self.assertEqual(next_ballast(10 * MIB, 100 * MIB, 10 * MIB + 100 * MIB // 600), 10 * MIB)

    def test_shrinks_as_less_is_held(self):
        self.assertLess(next_ballast(50 * MIB, 100 * MIB, 0), 20 * MIB)

    def test_leaves_some_memory_to_the_workload(self):
        ballast = 0
        for _ in range(40):
            ballast = next_ballast(ballast, 100 * MIB, 500 * MIB)
        self.assertLess(ballast, 96 * MIB)

    def test_is_whole_pages(self):
        self.assertEqual(next_ballast(0, 100 * MIB, 7654321) % PAGE, 0)


class FakeGroup:
    def __init__(self):
        self.limits = []

    def usage(self):
        return 60 * MIB

    def set_limit(self, size):
        self.limits.append(size)
        return True


class FakeBallast:
    size = 0

    def resize(self, size):
        self.size = size


class WatchTest(unittest.TestCase):
    def test_ballast_does_not_count_as_usage(self):
        watch = MemoryWatch(FakeGroup(), lambda _group: 20 * MIB, 100 * MIB, FakeBallast())
        watch.step()
        watch.step()
        self.assertEqual(watch.samples[0].usage, 60 * MIB)
        self.assertEqual(watch.samples[1].usage, 60 * MIB - 16 * MIB)
        self.assertEqual(watch.samples[1].held, 20 * MIB)

    def test_the_program_comes_on_top_of_the_budget(self):
        watch = MemoryWatch(FakeGroup(), lambda _group: 0, 100 * MIB)
        watch.set_base(2 * MIB)
        self.assertEqual(watch.group.limits, [102 * MIB])

    def test_figures_are_of_the_sum_at_each_moment(self):
        samples = [Sample(0, 11, 20), Sample(1, 31, 0)]
        figures = memory_figures(samples, 1)
        self.assertEqual(figures["sum_peak"], 30)
        self.assertEqual(figures["usage_peak"], 30)
        self.assertEqual(figures["held_peak"], 20)
        self.assertEqual(figures["sum_mean"], 30)
        self.assertIsNone(memory_figures([], 1))


class FitsTest(unittest.TestCase):
    def test_contents_that_do_not_compress_do_not_fit_in_ram(self):
        self.assertIn("does not fit", does_not_fit(Cell("zram", "uniform", 2.0, 1.0)))
        self.assertIn("does not fit", does_not_fit(Cell("zram", "uniform", 2.0, 2.0)))
        self.assertIn("does not fit", does_not_fit(Cell("zram", "uniform", 4.0, 4.0)))

    def test_compressible_contents_fit(self):
        self.assertIsNone(does_not_fit(Cell("zram", "uniform", 2.0, 4.0)))
        self.assertIsNone(does_not_fit(Cell("zram", "uniform", 1.5, 2.0)))
        self.assertIsNone(does_not_fit(Cell("zram", "populate", 0.75, 1.0)))

    def test_same_filled_pages_take_nothing(self):
        self.assertIsNone(does_not_fit(Cell("zram", "uniform", 2.0, 2.0, same_filled=30)))

    def test_a_disk_holds_anything(self):
        self.assertIsNone(does_not_fit(Cell("disk", "uniform", 4.0, 1.0)))
        self.assertIsNone(does_not_fit(Cell("zswap", "uniform", 4.0, 1.0)))

    def test_resident_and_compressed_pages_together_are_the_limit(self):
        cell = Cell("zram", "uniform", 2.0, 4.0)
        resident = resident_share(cell)
        self.assertAlmostEqual(resident + (2 - resident) * 1.05 / 4, 1)


class SidesTest(unittest.TestCase):
    setting = Setting("/programs", 128 * MIB, directory="/disk", library_options=("--shards", "2"))

    def test_both_sides_run_the_same_workload(self):
        cell = Cell("zswap", "scan+zipf", 4.0, 2.0, 50, 4, 20)
        kernel = kernel_command(cell, self.setting, 128 * MIB)
        library = library_command(cell, self.setting, 128 * MIB, 64 * MIB)
        for words in (kernel, library):
            self.assertEqual(words[words.index("--region") + 1], "512M")
            self.assertEqual(words[words.index("--write-percent") + 1], "50")
        workload = kernel[kernel.index("--region"):]
        self.assertEqual(library[library.index("--region"):], workload + ["--shards", "2"])

    def test_tiers_match_the_rival(self):
        def tiers(rival):
            cell = Cell(rival, "uniform")
            words = library_command(cell, self.setting, 128 * MIB, 64 * MIB)
            return [words[i + 1] for i, word in enumerate(words) if word == "--tier"]
        self.assertEqual(tiers("zram"), ["ram:115M"])
        self.assertEqual(tiers("disk"), ["file:/disk:320M"])
        self.assertEqual(tiers("zswap"), ["ram:64M", "file:/disk:320M"])

    def test_zswaps_pool_is_half_of_the_limit_or_less(self):
        cell = Cell("zswap", "uniform")
        for cap in (10 * MIB, 241 * MIB, 650 * MIB):
            limit = limit_of(cell, self.setting, cap)
            self.assertLessEqual(pool_of(limit, cap), limit // 2)
            self.assertGreaterEqual(pool_of(limit, cap), min(cap, limit // 2) - PAGE)
        self.assertEqual(limit_of(cell, self.setting, 241 * MIB, True), 128 * MIB)

    def test_phases_last_long_enough_to_shift(self):
        words = kernel_command(Cell("disk", "phases"), self.setting, 128 * MIB)
        self.assertEqual(words[words.index("--seconds") + 1], "9")

    def test_region_is_a_multiple_of_the_limit(self):
        self.assertEqual(region_of(Cell("disk", "uniform", 1.5), 128 * MIB), 192 * MIB)

    def test_sizes_are_read_or_refused(self):
        self.assertEqual(parse_size("256M"), 256 * MIB)
        self.assertEqual(parse_size("1g"), 1024 * MIB)
        with self.assertRaises(ValueError):
            parse_size("much")


class GroupTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def write(self, name, text):
        os.makedirs(os.path.dirname(f"{self.folder}/{name}"), exist_ok=True)
        with open(f"{self.folder}/{name}", "w", encoding="ascii") as file:
            file.write(text)

    def read(self, name):
        with open(f"{self.folder}/{name}", encoding="ascii") as file:
            return file.read()

    def test_version_1(self):
        self.write("memory.usage_in_bytes", "4096\n")
        self.write("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
        group = MemoryGroup(self.folder, 1)
        self.assertEqual((group.usage(), group.oom_kills(), group.charged_zswap()), (4096, 2, 0))
        group.set_limit(None)
        self.assertEqual(self.read("memory.limit_in_bytes"), "-1")

    def test_version_2(self):
        self.write("memory.current", "8192\n")
        self.write("memory.events", "low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\n")
        self.write("memory.stat", "anon 5\nzswap 100\nzswapped 300\n")
        group = MemoryGroup(self.folder, 2)
        self.assertEqual((group.usage(), group.oom_kills(), group.charged_zswap()), (8192, 1, 100))
        group.set_limit(MIB)
        self.assertEqual(self.read("memory.max"), str(MIB))

    def test_a_controller_that_had_to_be_enabled_is_disabled_again(self):
        self.write("cgroup.subtree_control", "cpu")
        journal = Journal(f"{self.folder}/state", {"write": undo_write, "group": shutil.rmtree})
        with journal, memory_group(journal, MIB, "group", (self.folder, 2)) as group:
            self.assertEqual(self.read("cgroup.subtree_control"), "+memory")
            self.assertEqual(self.read("group/memory.max"), str(MIB))
        self.assertEqual(self.read("cgroup.subtree_control"), "-memory")
        self.assertFalse(os.path.exists(group.path))

    def test_hierarchies_are_found_by_what_they_control(self):
        self.write("unified/cgroup.controllers", "cpu io\n")
        self.write("mounts", f"cgroup {self.folder}/m cgroup rw,memory 0 0\n"
                             f"cgroup2 {self.folder}/unified cgroup2 rw 0 0\n")
        self.assertEqual(find_hierarchy(f"{self.folder}/mounts"), (f"{self.folder}/m", 1))
        self.write("unified/cgroup.controllers", "cpu memory\n")
        self.write("mounts", f"cgroup2 {self.folder}/unified cgroup2 rw 0 0\n")
        self.assertEqual(find_hierarchy(f"{self.folder}/mounts"), (f"{self.folder}/unified", 2))
        self.write("mounts", "proc /proc proc rw 0 0\n")
        self.assertIsNone(find_hierarchy(f"{self.folder}/mounts"))


class CpuTest(unittest.TestCase):
    def test_kernel_threads_are_told_from_processes(self):
        text = "45 (kswapd0) S 2 0 0 0 -1 {} 0 0 0 0 100 50 0 0 20 0 1 0 44"
        self.assertEqual(cpu.parse_thread(text.format(0x00a00040)), (150 / cpu.TICK, True))
        self.assertEqual(cpu.parse_thread(text.format(0x00400040)), (150 / cpu.TICK, False))

    def test_new_threads_count_from_their_start(self):
        self.assertAlmostEqual(cpu.spent_between({"1": 2.0, "2": 1.0}, {"1": 2.5, "3": 0.25}), 0.75)

    def test_idle_waiting_and_stolen_time_is_not_busy(self):
        text = "cpu  100 10 50 9999 8888 1 2 7777 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"
        self.assertAlmostEqual(cpu.parse_busy(text), 163 / cpu.TICK)

    def test_the_exact_meter_is_preferred(self):
        with tempfile.NamedTemporaryFile("w", encoding="ascii") as file:
            file.write("2500000000\n")
            file.flush()
            self.assertEqual(cpu.machine_busy_seconds(file.name), 2.5)
        self.assertGreater(cpu.machine_busy_seconds("/nonexistent"), 0)


class CellsTest(unittest.TestCase):
    def test_names_are_unique(self):
        for kind in ("quick", "default", "full"):
            names = [cell.name for cell in cell_list(kind)]
            self.assertEqual(len(names), len(set(names)))

    def test_the_default_is_part_of_the_full_list(self):
        self.assertLessEqual(set(cell_list()), set(cell_list("full")))
        self.assertLessEqual(set(cell_list("quick")), set(cell_list()))


if __name__ == "__main__":
    unittest.main()
