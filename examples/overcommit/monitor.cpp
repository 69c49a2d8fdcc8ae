// SPDX-License-Identifier: BSD-3-Clause
#include "overcommit/monitor.hpp"

#include <algorithm>
#include <chrono>

#include <sys/ioctl.h>
#include <unistd.h>

#include "overcommit/text.hpp"

namespace overcommit {
namespace {

using namespace std::chrono_literals;
constexpr auto look_every = 50ms;
constexpr auto line_every = 500ms;

uffdmm::histogram_snapshot between(const uffdmm::histogram_snapshot& before,
                                   uffdmm::histogram_snapshot after) {
    for (unsigned i = 0; i < uffdmm::histogram_snapshot::buckets; ++i)
        after.counts[i] -= std::min(before.counts[i], after.counts[i]);
    return after;
}

/// "ram 105 MiB in 57 MiB": what is kept there, and the memory it takes where that is much.
std::string tiers_text(const uffdmm::stats& now) {
    std::string text;
    for (const uffdmm::tier_stats& tier : now.tiers) {
        if (tier.capacity_bytes == 0 && tier.pages == 0)
            continue; // same-filled pages, and there are none
        const uffdmm::byte_count kept = tier.pages * uffdmm::page_size;
        text += " | " + tier.name + " " + bytes_text(kept);
        if (tier.memory_bytes > kept / 16)
            text += " in " + bytes_text(tier.memory_bytes);
        if (tier.degraded)
            text += " (degraded)";
    }
    return text;
}

/// Cut to one line of the terminal, which could not take it back otherwise.
std::string fitted(std::string text, std::FILE* terminal) {
    winsize size{};
    if (::ioctl(::fileno(terminal), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 &&
        text.size() >= size.ws_col)
        text.resize(size.ws_col - 1u);
    return text;
}

} // namespace

monitor::monitor(targets watched, std::function<progress()> progress_now, std::FILE* line)
    : watched_(watched), progress_now_(std::move(progress_now)), line_(line),
      terminal_(line != nullptr && ::isatty(::fileno(line)) != 0), thread_([this] { work(); }) {
}

void monitor::stop() {
    if (!thread_.joinable())
        return;
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    stopping_.notify_all();
    thread_.join();
    look();
    if (terminal_)
        std::fputs("\r\033[K", line_);
}

void monitor::work() {
    std::unique_lock lock(mutex_);
    while (!stopping_.wait_for(lock, look_every, [this] { return stop_; })) {
        look();
        if (line_ != nullptr && touch_clock::now() - last_line_ >= line_every)
            print_line();
    }
}

void monitor::look() {
    const limit_promise& promise = watched_.promise;
    own_excess_ = std::max(own_excess_, promise.excess([this] {
        now_ = watched_.manager.statistics();
        return now_.host_memory_bytes;
    }));
    observed_excess_ =
        std::max(observed_excess_, promise.excess([this] { return watched_.meter.sample(); }));
}

void monitor::print_line() {
    const auto now = touch_clock::now();
    const double seconds = std::chrono::duration<double>(now - last_line_).count();
    const progress current = progress_now_();
    const auto rate = [&](std::uint64_t before, std::uint64_t after) {
        return count_text(static_cast<double>(after - std::min(before, after)) / seconds) + "/s";
    };
    std::string text =
        fixed_text(std::chrono::duration<double>(now - start_).count(), 1) + " s " + current.phase;
    const auto latency = between(last_.latency, current.latency);
    if (latency.count() != 0)
        text += " | touches " + rate(last_.touches, current.touches) + " p99 " +
                time_text(static_cast<double>(latency.percentile(0.99)));
    text += " | faults " + rate(last_faults_, now_.faults) + " | resident " +
            bytes_text(now_.resident_bytes) + " | staged " + bytes_text(now_.staged_bytes) +
            tiers_text(now_);
    if (terminal_)
        std::fprintf(line_, "\r%s\033[K", fitted(std::move(text), line_).c_str());
    else
        std::fprintf(line_, "%s\n", text.c_str());
    std::fflush(line_);
    last_line_ = now;
    last_faults_ = now_.faults;
    last_ = current;
}

} // namespace overcommit
