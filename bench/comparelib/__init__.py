# SPDX-License-Identifier: BSD-3-Clause
"""Parts of bench/compare: kernel swap and the library on the same workload, at equal memory.

A program that swaps under a limit, zram and all, with everything undone whatever happens:

    INTERRUPTS.install()                                    # interrupts: signals as exceptions
    with Journal() as journal:                              # journal: undoes, one run at a time
        with zram_swap(journal, size) as swap, \\
                memory_group(journal) as group, \\
                Ballast(group, ".../compare-ballast") as ballast, \\
                MemoryWatch(group, swap.held, limit, ballast) as watch:
            subprocess.run(group.enter_command([...]))      # usage + held stays at the limit
            memory_figures(watch.samples, base=0)

The group inside of the swap: its processes have to be gone before swap is switched off. swap.py
has file_swap and zswap_swap as well; swaps that are not `uncharged` need no ballast.
"""
