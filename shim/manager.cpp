// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <chrono>

#include "handles.hpp"
#include "options.hpp"

uffdmm_region& uffdmm_manager::add(const uffdmm::region_config& config) {
    // The handle comes first: nothing may fail once the region is there.
    std::list<uffdmm_region> added;
    added.push_back({*this, nullptr, config.name});
    added.front().live = &engine.add_region(config);
    const uffdmm::mutex_lock lock(mutex);
    regions.splice(regions.end(), added);
    return regions.back();
}

uffdmm_region* uffdmm_manager::find(std::size_t index) {
    const uffdmm::mutex_lock lock(mutex);
    for (uffdmm_region& region : regions)
        if (region.live != nullptr && index-- == 0)
            return &region;
    return nullptr;
}

std::size_t uffdmm_manager::live_regions() const {
    const uffdmm::mutex_lock lock(mutex);
    return static_cast<std::size_t>(std::count_if(regions.begin(), regions.end(),
                                                  [](const auto& r) { return r.live != nullptr; }));
}

namespace uffdmm::shim {
namespace {

/// Longer than anybody waits, and far from where the arithmetic of clocks ends.
constexpr std::chrono::milliseconds longest_wait = std::chrono::hours(24 * 365);

std::unique_ptr<uffdmm_manager> make_manager(config config, event_handler on_event) {
    config.manager.on_event = std::move(on_event);
    auto manager = std::make_unique<uffdmm_manager>(config.manager);
    for (const region_config& region : config.regions)
        manager->add(region);
    return manager;
}

std::string in_bytes(std::uint64_t bytes) {
    return std::to_string(bytes) + " bytes";
}

} // namespace
} // namespace uffdmm::shim

using namespace uffdmm::shim;

int uffdmm_manager_create(const struct uffdmm_manager_options* options,
                          uffdmm_manager** manager) noexcept {
    return guarded(__func__, [&] {
        const uffdmm::manager_config config = to_config(options);
        require(manager, "manager");
        *manager = new uffdmm_manager(config);
        return 0;
    });
}

int uffdmm_manager_create_from_json(const char* json, const char* source,
                                    const struct uffdmm_event_handler* on_event,
                                    uffdmm_manager** manager) noexcept {
    return guarded(__func__, [&] {
        uffdmm::event_handler handler = to_handler(on_event);
        require(json, "json");
        require(manager, "manager");
        uffdmm::config config = uffdmm::parse_config(json, source != nullptr ? source : "config");
        *manager = make_manager(std::move(config), std::move(handler)).release();
        return 0;
    });
}

int uffdmm_manager_create_from_file(const char* path, const struct uffdmm_event_handler* on_event,
                                    uffdmm_manager** manager) noexcept {
    return guarded(__func__, [&] {
        uffdmm::event_handler handler = to_handler(on_event);
        require(path, "path");
        require(manager, "manager");
        *manager = make_manager(uffdmm::load_config(path), std::move(handler)).release();
        return 0;
    });
}

void uffdmm_manager_destroy(uffdmm_manager* manager) noexcept {
    delete manager;
}

int uffdmm_manager_set_limit(uffdmm_manager* manager, uint64_t limit) noexcept {
    return guarded(__func__, [&] {
        require(manager, "manager");
        const uffdmm::result<void> done = manager->engine.set_limit(limit);
        if (!done)
            return fail("uffdmm_manager_set_limit", done.failure(), "limit: " + in_bytes(limit),
                        "allowed: at least 4 MiB, and room for metadata and pinned pages; the "
                        "limit stays at " +
                            in_bytes(manager->engine.limit()));
        return 0;
    });
}

uint64_t uffdmm_manager_limit(const uffdmm_manager* manager) noexcept {
    return manager == nullptr ? 0 : manager->engine.limit();
}

int uffdmm_manager_wait_idle(uffdmm_manager* manager, uint64_t timeout) noexcept {
    return guarded(__func__, [&] {
        require(manager, "manager");
        const auto longest = static_cast<std::uint64_t>(longest_wait.count());
        const uffdmm::result<void> done =
            manager->engine.wait_until_idle(std::chrono::milliseconds(std::min(timeout, longest)));
        if (!done)
            return fail("uffdmm_manager_wait_idle", done.failure(), "",
                        "work was still under way after " + std::to_string(timeout) + " ms");
        return 0;
    });
}

int uffdmm_manager_add_region(uffdmm_manager* manager, const struct uffdmm_region_options* options,
                              uffdmm_region** region) noexcept {
    return guarded(__func__, [&] {
        require(manager, "manager");
        require(region, "region");
        *region = &manager->add(to_config(options));
        return 0;
    });
}

size_t uffdmm_manager_region_count(const uffdmm_manager* manager) noexcept {
    return manager == nullptr ? 0 : manager->live_regions();
}

int uffdmm_manager_region(uffdmm_manager* manager, size_t index, uffdmm_region** region) noexcept {
    return guarded(__func__, [&] {
        require(manager, "manager");
        require(region, "region");
        uffdmm_region* const found = manager->find(index);
        if (found == nullptr)
            throw uffdmm::setup_error(uffdmm::errc::not_found,
                                      "index: there is no region " + std::to_string(index) +
                                          "; allowed: less than " +
                                          std::to_string(manager->live_regions()));
        *region = found;
        return 0;
    });
}
