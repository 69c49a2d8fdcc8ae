// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Where a server may still write what a lost connection had asked for.
///
/// A write that was not answered is sent again on the next connection, to the same place with the
/// same contents. The server may have the first one in a buffer all the same, and execute it late,
/// when the place is free and holds another page already. NBD has no command that would wait for
/// other connections' requests. So a place like this gets nothing new for a while.

#include <algorithm>
#include <cstdint>
#include <vector>

namespace uffdmm {

class late_writes {
  public:
    /// What is asked for `[offset, offset + bytes)` may be executed until `until_ns`.
    void add(std::uint64_t offset, std::uint32_t bytes, std::uint64_t until_ns) {
        places_.push_back({offset, offset + bytes, until_ns});
    }
    [[nodiscard]] bool empty() const noexcept { return places_.empty(); }
    /// Whether a late write may hit the place at `now_ns`.
    [[nodiscard]] bool may_hit(std::uint64_t offset, std::uint32_t bytes,
                               std::uint64_t now_ns) noexcept {
        std::erase_if(places_, [now_ns](const place& p) { return p.until_ns <= now_ns; });
        return std::any_of(places_.begin(), places_.end(), [&](const place& p) {
            return offset < p.end && p.offset < offset + bytes;
        });
    }

  private:
    struct place {
        std::uint64_t offset;
        std::uint64_t end;
        std::uint64_t until_ns;
    };
    std::vector<place> places_;
};

} // namespace uffdmm
