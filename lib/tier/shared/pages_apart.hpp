// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Where the pages of a shared store are if they are not in the file that has its records and its
/// extent table: on a medium without locks.

#include <cstdint>

#include "uffdmm/result.hpp"
#include "uffdmm/shared_store.hpp"

namespace uffdmm {

/// The medium begins with a page that names the store; slots follow. Owner: a shared_volume.
class pages_apart {
  public:
    pages_apart() = default;
    pages_apart(const pages_apart&) = delete;
    pages_apart& operator=(const pages_apart&) = delete;
    virtual ~pages_apart() = default;

    /// How many there is room for.
    [[nodiscard]] virtual std::uint32_t slots() const noexcept = 0;
    /// Names the store on the medium, durably, unless it is named there already. Set-up, while
    /// nobody else does it. Throws setup_error where another store is.
    virtual void name_store(const store_id& id) = 0;
    /// Writes that have ended are durable, and every host sees them, when it returns. May wait.
    [[nodiscard]] virtual result<void> sync() = 0;
};

} // namespace uffdmm
