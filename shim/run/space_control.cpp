// SPDX-License-Identifier: BSD-3-Clause

/// The managed space, asked from outside. Areas are looked at one by one: they come and go.

#include <algorithm>
#include <charconv>
#include <string>

#include "run/managed_space.hpp"
#include "run/pthread_lock.hpp"

namespace preload {
namespace {

/// How long others wait for the lock: no longer than it takes to write so much out.
constexpr std::size_t evict_step = std::size_t{4} << 20;
constexpr std::size_t query_step = std::size_t{64} << 20;

constexpr std::string_view prefix = "area";

/// "area7" → 7; `none` if it is no such name.
std::size_t number_of(std::string_view name, std::size_t none) noexcept {
    if (!name.starts_with(prefix))
        return none;
    name.remove_prefix(prefix.size());
    std::size_t number = none;
    const auto [end, failed] = std::from_chars(name.data(), name.data() + name.size(), number);
    return failed == std::errc() && end == name.data() + name.size() ? number : none;
}

void add(uffdmm::control_region& region, const uffdmm::residency_run& run) noexcept {
    switch (run.state) {
    case uffdmm::residency::untouched:
        region.untouched_bytes += run.length;
        break;
    case uffdmm::residency::resident:
        region.resident_bytes += run.length;
        break;
    case uffdmm::residency::staged:
        region.staged_bytes += run.length;
        break;
    case uffdmm::residency::swapped:
        region.swapped_bytes += run.length;
        break;
    case uffdmm::residency::poisoned:
        region.poisoned_bytes += run.length;
        break;
    }
}

} // namespace

uffdmm::byte_count managed_space::limit() noexcept {
    const pthread_lock hold(changes_);
    return manager_ != nullptr ? manager_->limit() : asked_.config.manager.limit;
}

uffdmm::result<void> managed_space::set_limit(uffdmm::byte_count limit) {
    {
        const pthread_lock hold(changes_);
        if (manager_ == nullptr) {
            asked_.config.manager.limit = limit;
            return {};
        }
    }
    return manager_->set_limit(limit); // waits; the manager stays
}

/// False: there is no such area any more. In steps, so that nobody waits long for the lock.
uffdmm::result<bool> managed_space::describe(std::size_t which, uffdmm::control_region& out) {
    area& a = areas_[which];
    for (std::size_t from = 0;; from += query_step) {
        const pthread_lock hold(changes_);
        const std::uintptr_t begin = a.begin.load();
        const std::size_t bytes = a.end.load() == 0 ? 0 : a.end.load() - begin;
        if (bytes == 0 || (from != 0 && begin != out.address))
            return false;
        out.name = std::string(prefix) + std::to_string(which);
        out.address = begin;
        out.bytes = bytes;
        if (from >= bytes)
            return true;
        const auto runs = a.managed->query(from, std::min(query_step, bytes - from));
        if (!runs)
            return runs.failure();
        for (const uffdmm::residency_run& run : runs.value())
            add(out, run);
    }
}

uffdmm::result<std::vector<uffdmm::control_region>> managed_space::regions() {
    std::vector<uffdmm::control_region> all;
    for (std::size_t i = 0; i < most_areas; ++i) {
        uffdmm::control_region region;
        const auto there = describe(i, region);
        if (!there)
            return there.failure();
        if (there.value())
            all.push_back(region);
    }
    return all;
}

uffdmm::result<uffdmm::byte_count> managed_space::evict_area(std::size_t which) {
    area& a = areas_[which];
    uffdmm::byte_count evicted = 0;
    for (std::size_t from = 0;; from += evict_step) {
        const pthread_lock hold(changes_);
        const std::size_t bytes = a.end.load() == 0 ? 0 : a.end.load() - a.begin.load();
        if (from >= bytes)
            return evicted;
        const auto left = a.managed->evict(from, std::min(evict_step, bytes - from));
        if (!left)
            return left.failure();
        evicted += left.value();
    }
}

uffdmm::result<uffdmm::byte_count> managed_space::evict(std::string_view region) {
    const std::size_t only = region.empty() ? most_areas : number_of(region, most_areas);
    if (!region.empty() && (only >= most_areas || areas_[only].end.load() == 0))
        return uffdmm::error{uffdmm::errc::not_found, 0,
                             "region: there is none of that name; \"list\" shows those there are"};
    uffdmm::byte_count evicted = 0;
    for (std::size_t i = 0; i < most_areas; ++i) {
        if (!region.empty() && i != only)
            continue;
        const auto left = evict_area(i);
        if (!left)
            return left.failure();
        evicted += left.value();
    }
    return evicted;
}

} // namespace preload
