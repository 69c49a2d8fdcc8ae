// SPDX-License-Identifier: BSD-3-Clause
#include <string>

#include "handles.hpp"
#include "option_value.hpp"

namespace uffdmm::shim {
namespace {

static_assert(UFFDMM_KEEP == static_cast<int>(removal::keep) &&
              UFFDMM_KEEP_OVER_LIMIT == static_cast<int>(removal::keep_over_limit) &&
              UFFDMM_DROP == static_cast<int>(removal::drop));
static_assert(UFFDMM_UNTOUCHED == static_cast<int>(residency::untouched) &&
              UFFDMM_RESIDENT == static_cast<int>(residency::resident) &&
              UFFDMM_STAGED == static_cast<int>(residency::staged) &&
              UFFDMM_SWAPPED == static_cast<int>(residency::swapped) &&
              UFFDMM_LOST == static_cast<int>(residency::poisoned));

std::string quoted(const uffdmm_region& region) {
    return "region \"" + region.name + "\"";
}

/// Throws setup_error (wrong_state) if the region was removed.
region& live(uffdmm_region* handle) {
    require(handle, "region");
    if (handle->live == nullptr)
        throw setup_error(errc::wrong_state, quoted(*handle) +
                                                 " is removed; allowed: a region that is not, and "
                                                 "uffdmm_manager_destroy, which ends this handle");
    return *handle->live;
}

/// The library refuses a bad range as well, but cannot say what is wrong with it.
region& checked(uffdmm_region* handle, std::uint64_t offset, std::uint64_t length) {
    region& target = live(handle);
    const std::string multiple = " is not a multiple of 4096; allowed: whole pages";
    if (!is_page_aligned(offset))
        refuse("offset: " + std::to_string(offset) + multiple);
    if (!is_page_aligned(length))
        refuse("length: " + std::to_string(length) + multiple);
    if (offset > target.size() || length > target.size() - offset)
        refuse("offset " + std::to_string(offset) + " plus length " + std::to_string(length) +
               " is beyond the end of " + quoted(*handle) + "; allowed: up to " +
               std::to_string(target.size()));
    return target;
}

std::string range_of(const uffdmm_region& region, std::uint64_t offset, std::uint64_t length) {
    return quoted(region) + ", offset " + std::to_string(offset) + ", length " +
           std::to_string(length);
}

const char* hint_for(errc code) {
    switch (code) {
    case errc::limit_too_small:
        return "allowed: less at a time, or a higher limit";
    case errc::poisoned:
        return "contents of the range are lost; allowed: uffdmm_region_discard of them";
    case errc::wrong_state:
        return "allowed: as many unpins of a page as pins";
    case errc::shut_down:
        return "the manager or the region is going away";
    default:
        return "";
    }
}

/// A call that does `operation` to a range and gives nothing.
template <typename Operation>
int for_range(const char* call, uffdmm_region* handle, std::uint64_t offset, std::uint64_t length,
              Operation&& operation) noexcept {
    return guarded(call, [&] {
        const auto done = operation(checked(handle, offset, length));
        return done.ok() ? 0
                         : fail(call, done.failure(), range_of(*handle, offset, length),
                                hint_for(done.code()));
    });
}

/// Calls each_run until it gives something else than 0, and gives that.
int visit(const std::vector<residency_run>& runs, uffdmm_run_fn* each_run, void* user_data) {
    for (const residency_run& run : runs) {
        const uffdmm_run c_run{sizeof(uffdmm_run), run.offset, run.length,
                               static_cast<std::int32_t>(run.state), run.tier};
        const int answer = each_run(user_data, &c_run);
        if (answer != 0)
            return answer;
    }
    return 0;
}

std::string shortage(uffdmm_region& handle) {
    return std::to_string(handle.owner.engine.missing_bytes(*handle.live)) +
           " bytes are short; allowed: a higher limit, UFFDMM_KEEP_OVER_LIMIT, or UFFDMM_DROP";
}

} // namespace
} // namespace uffdmm::shim

using namespace uffdmm::shim;

int uffdmm_region_remove(uffdmm_region* region, int removal) noexcept {
    return guarded(__func__, [&] {
        uffdmm::region& target = live(region);
        check_enum("removal", removal,
                   {{UFFDMM_KEEP, "UFFDMM_KEEP"},
                    {UFFDMM_KEEP_OVER_LIMIT, "UFFDMM_KEEP_OVER_LIMIT"},
                    {UFFDMM_DROP, "UFFDMM_DROP"}});
        const auto done =
            region->owner.engine.remove_region(target, static_cast<uffdmm::removal>(removal));
        if (!done)
            return fail("uffdmm_region_remove", done.failure(), quoted(*region),
                        done.code() == uffdmm::errc::limit_too_small ? shortage(*region)
                                                                     : hint_for(done.code()));
        const uffdmm::mutex_lock lock(region->owner.mutex);
        region->live = nullptr;
        return 0;
    });
}

int uffdmm_region_missing_bytes(uffdmm_region* region, uint64_t* bytes) noexcept {
    return guarded(__func__, [&] {
        uffdmm::region& target = live(region);
        require(bytes, "bytes");
        *bytes = region->owner.engine.missing_bytes(target);
        return 0;
    });
}

void* uffdmm_region_data(const uffdmm_region* region) noexcept {
    return region == nullptr || region->live == nullptr ? nullptr : region->live->data();
}

uint64_t uffdmm_region_size(const uffdmm_region* region) noexcept {
    return region == nullptr || region->live == nullptr ? 0 : region->live->size();
}

const char* uffdmm_region_name(const uffdmm_region* region) noexcept {
    return region == nullptr || region->live == nullptr ? nullptr : region->name.c_str();
}

int uffdmm_region_discard(uffdmm_region* region, uint64_t offset, uint64_t length) noexcept {
    return for_range(__func__, region, offset, length,
                     [&](uffdmm::region& r) { return r.discard(offset, length); });
}

int uffdmm_region_pin(uffdmm_region* region, uint64_t offset, uint64_t length) noexcept {
    return for_range(__func__, region, offset, length,
                     [&](uffdmm::region& r) { return r.pin(offset, length); });
}

int uffdmm_region_unpin(uffdmm_region* region, uint64_t offset, uint64_t length) noexcept {
    return for_range(__func__, region, offset, length,
                     [&](uffdmm::region& r) { return r.unpin(offset, length); });
}

int uffdmm_region_prefetch(uffdmm_region* region, uint64_t offset, uint64_t length) noexcept {
    return for_range(__func__, region, offset, length,
                     [&](uffdmm::region& r) { return r.prefetch(offset, length); });
}

int uffdmm_region_evict(uffdmm_region* region, uint64_t offset, uint64_t length,
                        uint64_t* evicted) noexcept {
    return for_range(__func__, region, offset, length, [&](uffdmm::region& r) {
        auto done = r.evict(offset, length);
        if (done.ok() && evicted != nullptr)
            *evicted = done.value();
        return done;
    });
}

int uffdmm_region_query(uffdmm_region* region, uint64_t offset, uint64_t length,
                        uffdmm_run_fn* each_run, void* user_data) noexcept {
    return guarded(__func__, [&] {
        uffdmm::region& target = checked(region, offset, length);
        require(reinterpret_cast<const void*>(each_run), "each_run");
        const auto runs = target.query(offset, length);
        if (!runs)
            return fail("uffdmm_region_query", runs.failure(), range_of(*region, offset, length),
                        hint_for(runs.code()));
        return visit(runs.value(), each_run, user_data);
    });
}

const char* uffdmm_residency_name(int residency) noexcept {
    return residency < UFFDMM_UNTOUCHED || residency > UFFDMM_LOST
               ? "unknown"
               : uffdmm::to_string(static_cast<uffdmm::residency>(residency));
}
