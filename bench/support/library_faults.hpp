// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Faults that the library answers: a manager with one region of one shard, and pages brought into
/// the state in question through the public interface.

#include <array>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "support/contents.hpp"
#include "support/fault_source.hpp"
#include "support/placement.hpp"
#include "uffdmm/manager.hpp"

namespace uffdmm::bench {

enum class fault_kind : std::uint8_t {
    zero_read,
    zero_write,
    staged,
    same_filled,
    compressed_lz4,
    compressed_zstd,
    file,
    unprotect
};
inline constexpr std::array fault_kinds{fault_kind::zero_read,      fault_kind::zero_write,
                                        fault_kind::staged,         fault_kind::same_filled,
                                        fault_kind::compressed_lz4, fault_kind::compressed_zstd,
                                        fault_kind::file,           fault_kind::unprotect};
[[nodiscard]] const char* to_string(fault_kind kind);
/// The ioctls that may end such a fault.
[[nodiscard]] std::vector<operation> operations_of(fault_kind kind);
[[nodiscard]] bool is_write(fault_kind kind);

class library_faults final : public fault_source {
  public:
    /// `directory`: for the file tier.
    library_faults(fault_kind kind, placement where, const std::string& directory);

    void prepare() override;
    /// A spinning shard thread gives up after two milliseconds.
    void pause() override;

  private:
    void fill_all(contents what);
    void evict_all();
    void touch_all();

    fault_kind kind_;
    placement where_;
    std::mt19937_64 random_{1};
    std::optional<manager> manager_;
    region* region_ = nullptr;
};

} // namespace uffdmm::bench
