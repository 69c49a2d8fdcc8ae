// SPDX-License-Identifier: BSD-3-Clause
#include "placement/gathering.hpp"

#include <algorithm>

namespace uffdmm {

gathering::gathering(gathering_place& place)
    : place_(place), held_(place.affinity, place.workers.size() + 1 + faulting_threads::most) {
    threads_.reserve(place.workers.size() + 1 + faulting_threads::most);
}

bool gathering::step(std::uint64_t now_ns, std::uint64_t pages,
                     const faulting_threads& faulting) noexcept {
    if (now_ns - stepped_ns_ < every_ns)
        return !held_.empty();
    stepped_ns_ = now_ns;
    bool together = chooser_.step(now_ns, pages);
    const auto guests = faulting.since(now_ns - std::min(now_ns, latest_ns));
    if (chooser_.busy())
        set_busy(true);
    // acquire: whoever was busy before has let the workers go.
    together = together && guests.complete && guests.count != 0 &&
               place_.busy.load(std::memory_order_acquire) == 1;
    if (together && !hold(guests.all())) {
        chooser_.not_possible(now_ns);
        together = false;
    }
    if (!together)
        held_.let_all_go();
    if (!chooser_.busy())
        set_busy(false);
    return together;
}

void gathering::let_all_go() noexcept {
    held_.let_all_go();
    set_busy(false);
}

/// The library's threads and `guests`, but for those that have ended or are not to be bound, and
/// nobody else. Returns false if that is not possible.
bool gathering::hold(std::span<const std::uint32_t> guests) noexcept {
    if (own_ == 0) {
        threads_.assign(place_.workers.begin(), place_.workers.end());
        threads_.push_back(place_.affinity.this_thread());
        own_ = threads_.size();
    }
    threads_.resize(own_);
    for (const std::uint32_t guest : guests)
        if (held_.holds(guest) || place_.affinity.get(guest))
            threads_.push_back(guest);
    if (threads_.size() == own_)
        return false;
    if (held_.empty())
        return held_.gather(threads_);
    held_.let_go_if([&](std::uint32_t thread) {
        return std::find(threads_.begin(), threads_.end(), thread) == threads_.end();
    });
    return std::all_of(threads_.begin(), threads_.end(), [&](std::uint32_t thread) {
        return held_.holds(thread) || held_.add(thread);
    });
}

/// Once the workers are free another shard may have them.
void gathering::set_busy(bool busy) noexcept {
    if (busy == busy_)
        return;
    busy_ = busy;
    // release: pairs with the acquire in step().
    if (busy)
        place_.busy.fetch_add(1, std::memory_order_acq_rel);
    else
        place_.busy.fetch_sub(1, std::memory_order_release);
}

} // namespace uffdmm
