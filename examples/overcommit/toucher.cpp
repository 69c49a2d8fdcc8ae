// SPDX-License-Identifier: BSD-3-Clause
#include "overcommit/toucher.hpp"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <memory>

#include <sys/mman.h>

#include "overcommit/access_pattern.hpp"

namespace overcommit {
namespace {

constexpr std::uint64_t longest_discard = 64;

std::uint64_t nanoseconds_of(touch_clock::duration d) {
    return static_cast<std::uint64_t>(std::chrono::nanoseconds(d).count());
}

std::uint64_t thread_cpu_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u +
           static_cast<std::uint64_t>(now.tv_nsec);
}

std::uint64_t load_word(const std::byte* page) {
    return *reinterpret_cast<const volatile std::uint64_t*>(page);
}

void store_word(std::byte* page, std::uint64_t word) {
    *reinterpret_cast<volatile std::uint64_t*>(page) = word;
}

} // namespace

toucher::toucher(workload& work, unsigned number)
    : work_(work), number_(number), random_(mix(work.asked.pattern.seed + mix(~number))),
      first_(std::uint64_t{work.ledger.pages()} * number / work.asked.threads),
      end_(std::uint64_t{work.ledger.pages()} * (number + 1) / work.asked.threads) {
}

void toucher::populate() {
    for (std::uint64_t page = first_; page < end_ && !work_.stop; ++page) {
        page_record record = work_.ledger.lock(page);
        record.zeros = false;
        work_.contents.fill(work_.page(page), page, ++record.version);
        work_.ledger.unlock(page, record);
    }
}

void toucher::run(touch_clock::time_point start) {
    const options& asked = work_.asked;
    const auto pattern = make_pattern(asked.pattern, number_, asked.threads);
    const std::uint64_t cpu_before = thread_cpu_ns();
    auto elapsed = touch_clock::now() - start;
    while (elapsed < asked.run_time && !work_.stop.load(std::memory_order_relaxed)) {
        const std::uint64_t page = pattern->next(elapsed);
        if (asked.discard_percent > 0 && random_.chance(asked.discard_percent))
            discard(page, static_cast<uffdmm::page_count>(1 + random_.below(longest_discard)));
        elapsed = touch(page, random_.chance(asked.write_percent)) - start;
    }
    cpu_ns.set(thread_cpu_ns() - cpu_before);
}

void toucher::verify() {
    for (std::uint64_t page = first_; page < end_; ++page) {
        page_record record = work_.ledger.lock(page);
        check(page, record);
        work_.ledger.unlock(page, record);
        ++verified_pages;
    }
}

touch_clock::time_point toucher::touch(std::uint64_t page, bool write) {
    page_record record = work_.ledger.lock(page);
    std::byte* bytes = work_.page(page);
    const auto before_load = touch_clock::now();
    const std::uint64_t word = load_word(bytes);
    auto after = touch_clock::now();
    auto taken = after - before_load;
    check(page, record);
    if (write) {
        const auto before_store = touch_clock::now();
        store_word(bytes, word);
        after = touch_clock::now();
        taken += after - before_store;
        work_.contents.fill(bytes, page, ++record.version);
        record.zeros = false;
        ++writes;
    }
    work_.ledger.unlock(page, record);
    latency.record(nanoseconds_of(taken));
    ++touches;
    return after;
}

/// The pages are held meanwhile, so that nobody else's contents are discarded.
void toucher::discard(std::uint64_t first, uffdmm::page_count count) {
    count = static_cast<uffdmm::page_count>(
        std::min<std::uint64_t>(count, work_.ledger.pages() - first));
    page_record records[longest_discard];
    for (uffdmm::page_count i = 0; i < count; ++i)
        records[i] = work_.ledger.lock(first + i);
    const auto done = drop(first, count);
    if (!done)
        work_.wrong.failed("discard", done.failure());
    for (uffdmm::page_count i = 0; i < count; ++i) {
        records[i].zeros = records[i].zeros || done.ok();
        work_.ledger.unlock(first + i, records[i]);
    }
    ++discards;
    discarded_pages += count;
}

uffdmm::result<void> toucher::drop(std::uint64_t first, uffdmm::page_count count) {
    const discard_call call = work_.asked.discard_by;
    const bool by_kernel =
        call == discard_call::madvise || (call == discard_call::both && random_.chance(50));
    if (!by_kernel)
        return work_.region.discard(first * uffdmm::page_size, uffdmm::bytes_of(count));
    if (::madvise(work_.page(first), uffdmm::bytes_of(count), MADV_DONTNEED) != 0)
        return uffdmm::error{uffdmm::errc::system, errno, "madvise"};
    return {};
}

/// A page found corrupt is told once and then written anew, so that it can be trusted again.
void toucher::check(std::uint64_t page, page_record& record) {
    std::byte* bytes = work_.page(page);
    const page_verdict verdict = record.zeros ? page_contents::verify_zeros(bytes)
                                              : work_.contents.verify(bytes, page, record.version);
    if (verdict == page_verdict::good) [[likely]]
        return;
    work_.wrong.corrupt(page, record, verdict);
    record.corrupt = true;
    record.zeros = false;
    work_.contents.fill(bytes, page, ++record.version);
}

} // namespace overcommit
