// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What the opaque handles of the C interface are.

#include <cstddef>
#include <list>
#include <string>

#include "errors.hpp"
#include "uffdmm.h"
#include "uffdmm/detail/mutex.hpp"
#include "uffdmm/manager.hpp"

/// Outlives the region it names, so that calls after removal have something to refuse with.
///
///     live ── uffdmm_region_remove ──► removed ── uffdmm_manager_destroy ──► gone
///      └────────────────────── uffdmm_manager_destroy ────────────────────────▲
struct uffdmm_region {
    uffdmm_manager& owner;
    uffdmm::region* live; ///< nullptr once removed; changed under owner.mutex
    const std::string name;
};

struct uffdmm_manager {
    explicit uffdmm_manager(const uffdmm::manager_config& config) : engine(config) {}

    /// Any thread. Throws setup_error.
    uffdmm_region& add(const uffdmm::region_config& config);
    /// Any thread. Gives nullptr beyond the last live region.
    [[nodiscard]] uffdmm_region* find(std::size_t index);
    [[nodiscard]] std::size_t live_regions() const;

    uffdmm::manager engine;
    mutable uffdmm::mutex mutex; ///< of the list, not of the engine
    /// In the order they were added.
    std::list<uffdmm_region> regions UFFDMM_GUARDED_BY(mutex);
};

struct uffdmm_snapshot {
    uffdmm::stats statistics;
};
