// SPDX-License-Identifier: BSD-3-Clause

/// Page entries and the lists threaded through them, with tables that fit a cache and tables that
/// do not.

#include <vector>

#include <benchmark/benchmark.h>

#include "support/page_order.hpp"
#include "uffdmm/engine/page_table.hpp"

namespace uffdmm::bench {
namespace {

/// A fault's walk through the states: staged, back, staged, dropped, in again.
void page_entry_transitions(benchmark::State& state) {
    page_entry entry;
    entry.apply(page_op::install_zero);
    for ([[maybe_unused]] auto each : state) {
        for (const page_op op : {page_op::stage, page_op::take_back, page_op::stage, page_op::drop,
                                 page_op::install}) {
            benchmark::DoNotOptimize(entry);
            entry.apply(op);
        }
    }
    state.SetItemsProcessed(state.iterations() * 5);
}
BENCHMARK(page_entry_transitions);

void page_table_look_up(benchmark::State& state) {
    const auto pages = static_cast<page_count>(state.range(0));
    page_table table(pages);
    const std::vector<page_index> order = shuffled_pages(pages);
    for (const page_index page : order)
        table[page].apply(page_op::install_zero);
    std::size_t at = 0;
    for ([[maybe_unused]] auto each : state) {
        benchmark::DoNotOptimize(table[order[at]].state());
        at = at + 1 == order.size() ? 0 : at + 1;
    }
}
BENCHMARK(page_table_look_up)->Arg(small_table)->Arg(large_table);

/// Takes a page out of the middle of a list and puts it to the front.
void page_list_move_to_front(benchmark::State& state) {
    const auto pages = static_cast<page_count>(state.range(0));
    page_table table(pages);
    page_list list;
    const std::vector<page_index> order = shuffled_pages(pages);
    for (const page_index page : order)
        list.push_front(table, page);
    std::size_t at = 0;
    for ([[maybe_unused]] auto each : state) {
        list.erase(table, order[at]);
        list.push_front(table, order[at]);
        at = at + 1 == order.size() ? 0 : at + 1;
    }
}
BENCHMARK(page_list_move_to_front)->Arg(small_table)->Arg(large_table);

} // namespace
} // namespace uffdmm::bench
