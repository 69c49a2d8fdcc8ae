// SPDX-License-Identifier: BSD-3-Clause
#include "load/touching.hpp"

#include <memory>
#include <thread>
#include <vector>

#include "overcommit/random.hpp"
#include "uffdmm/engine/histogram.hpp"

namespace load {
namespace {

using std::chrono::nanoseconds;
using steady = std::chrono::steady_clock;

/// A word behind the stamp of a page: writes go there, so that the stamp stays checkable.
constexpr std::size_t written_word = 8;
constexpr std::size_t index_word = 2; ///< of page_stamp

std::uint64_t load_word(const std::byte* page, std::size_t word) {
    return reinterpret_cast<const volatile std::uint64_t*>(page)[word];
}
void store_word(std::byte* page, std::size_t word, std::uint64_t value) {
    reinterpret_cast<volatile std::uint64_t*>(page)[word] = value;
}

std::byte* page_at(std::byte* memory, std::uint64_t page) {
    return memory + page * uffdmm::page_size;
}

/// One thread's part of the measurements.
struct meter {
    uffdmm::histogram latency;
    std::uint64_t touches = 0;
    std::uint64_t wrong = 0;

    void record(steady::time_point before, steady::time_point after) {
        latency.record(static_cast<std::uint64_t>(nanoseconds(after - before).count()));
        ++touches;
    }
};

/// Whether the page holds what populate() wrote: its number, or its repeated word.
bool holds(const options& asked, const overcommit::page_contents& contents, const std::byte* page,
           std::uint64_t index) {
    if (asked.touch_first != first_touch::contents)
        return true;
    if (contents.is_same_filled(index, 1))
        return load_word(page, 0) == load_word(page, 1);
    return load_word(page, index_word) == index;
}

void populate_part(const options& asked, std::byte* memory, unsigned thread, meter& figures) {
    const overcommit::page_contents contents(asked.fill);
    const std::uint64_t pages = asked.pattern.pages;
    const std::uint64_t end = pages * (thread + 1) / asked.threads;
    for (std::uint64_t at = pages * thread / asked.threads; at < end; ++at) {
        std::byte* page = page_at(memory, at);
        const auto before = steady::now();
        if (asked.touch_first == first_touch::read)
            (void)load_word(page, 0);
        else
            store_word(page, 0, at);
        figures.record(before, steady::now());
        if (asked.touch_first == first_touch::contents)
            contents.fill(page, at, 1);
    }
}

void run_part(const options& asked, std::byte* memory, nanoseconds duration, std::uint64_t seed,
              unsigned thread, meter& figures) {
    overcommit::pattern_plan plan = asked.pattern;
    plan.stream = overcommit::mix(seed);
    const auto pattern = overcommit::make_pattern(plan, thread, asked.threads);
    const overcommit::page_contents contents(asked.fill);
    overcommit::random_source random(overcommit::mix(seed) + thread);
    const auto start = steady::now();
    for (auto now = start; now - start < duration;) {
        const std::uint64_t index = pattern->next(now - start);
        std::byte* page = page_at(memory, index);
        const bool write = random.chance(asked.write_percent);
        const auto before = steady::now();
        if (write)
            store_word(page, written_word, index);
        else
            (void)load_word(page, 0);
        now = steady::now();
        figures.record(before, now);
        figures.wrong += holds(asked, contents, page, index) ? 0 : 1;
    }
}

template <typename Part>
phase_figures with_threads(unsigned threads, Part&& part) {
    std::vector<std::unique_ptr<meter>> meters;
    std::vector<std::thread> running;
    const auto start = steady::now();
    for (unsigned i = 0; i < threads; ++i) {
        meters.push_back(std::make_unique<meter>());
        running.emplace_back([&part, i, &m = *meters.back()] { part(i, m); });
    }
    for (std::thread& thread : running)
        thread.join();
    phase_figures all;
    all.seconds = std::chrono::duration<double>(steady::now() - start).count();
    for (const auto& m : meters) {
        all.touches += m->touches;
        all.wrong += m->wrong;
        all.latency.merge(m->latency.snapshot());
    }
    return all;
}

} // namespace

phase_figures populate(const options& asked, std::byte* memory) {
    return with_threads(asked.threads, [&](unsigned thread, meter& figures) {
        populate_part(asked, memory, thread, figures);
    });
}

phase_figures run_pattern(const options& asked, std::byte* memory, nanoseconds duration,
                          std::uint64_t seed) {
    return with_threads(asked.threads, [&](unsigned thread, meter& figures) {
        run_part(asked, memory, duration, seed, thread, figures);
    });
}

} // namespace load
