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
    const bool wanted = chooser_.step(now_ns, pages);
    const bool only = chooser_.busy() && alone(now_ns);
    if (!wanted) {
        let_all_go();
        return false;
    }
    const auto guests = faulting.since(now_ns - std::min(now_ns, faulting_threads::pause_ns));
    const outcome came = only && guests.complete && claim() ? hold(guests.all()) : outcome::nobody;
    if (came == outcome::held)
        return true;
    let_all_go();
    if (came == outcome::impossible)
        chooser_.not_possible(now_ns);
    else
        chooser_.disturbed(now_ns);
    return false;
}

void gathering::let_all_go() noexcept {
    held_.let_all_go();
    const void* self = this;
    // release: whoever claims next finds the workers as they were.
    gathering_place::holder.compare_exchange_strong(self, nullptr, std::memory_order_release,
                                                    std::memory_order_relaxed);
}

/// Says that faults come here. Returns whether they have come to no other shard lately.
bool gathering::alone(std::uint64_t now_ns) noexcept {
    const void* const latest = place_.busy.exchange(this, std::memory_order_relaxed);
    if (latest != nullptr && latest != this)
        other_busy_ns_ = now_ns;
    return other_busy_ns_ == 0 || now_ns - other_busy_ns_ >= alone_after_ns;
}

bool gathering::claim() noexcept {
    const void* nobody = nullptr;
    // acquire: pairs with the release in let_all_go().
    return gathering_place::holder.compare_exchange_strong(nobody, this, std::memory_order_acquire,
                                                           std::memory_order_relaxed) ||
           nobody == this;
}

/// Holds the library's threads and those of `guests` that may be bound, and nobody else.
gathering::outcome gathering::hold(std::span<const std::uint32_t> guests) noexcept {
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
        return outcome::nobody;
    if (held_.empty())
        return held_.gather(threads_) ? outcome::held : outcome::impossible;
    held_.let_go_if([&](std::uint32_t thread) {
        return std::find(threads_.begin(), threads_.end(), thread) == threads_.end();
    });
    const bool all = std::all_of(threads_.begin(), threads_.end(), [&](std::uint32_t thread) {
        return held_.holds(thread) || held_.add(thread);
    });
    return all ? outcome::held : outcome::impossible;
}

} // namespace uffdmm
