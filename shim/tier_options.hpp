// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The tiers of a C program's manager options.

#include <cstddef>
#include <exception>
#include <vector>

#include "uffdmm.h"
#include "uffdmm/config.hpp"
#include "user_data.hpp"

namespace uffdmm::shim {

/// An array of tier options whose user_data have owners. Borrows the array.
class tier_list {
  public:
    /// Takes over what can be read of the array; what is wrong with it is left to configs(), so
    /// that the caller can first take over more.
    tier_list(const uffdmm_tier_options* first, std::size_t count) noexcept;

    /// Throws setup_error naming the option.
    [[nodiscard]] std::vector<tier_config> configs() const;

  private:
    struct item {
        const uffdmm_tier_options* given;
        uffdmm_tier_options known;
        user_data data;
    };

    void take_over(const uffdmm_tier_options* tier, std::size_t count);

    std::vector<item> items_;
    std::exception_ptr problem_;
};

} // namespace uffdmm::shim
