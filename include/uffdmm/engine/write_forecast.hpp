// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Whether a page that comes in with a copy in a tier will be written before it leaves. If not, it
/// is mapped write-protected: the copy stays good, and leaving costs no write. If it is, the
/// protection costs the guest a second fault, which is dearer than the write it might have saved.
///
/// Two signs: the page was written soon after an earlier install (write_prone), or more than a
/// quarter of the pages that were protected of late were written after all. Either way every
/// sixteenth page is protected nevertheless, to notice that times have changed.

#include <cstdint>

#include "uffdmm/engine/page_entry.hpp"

namespace uffdmm {

/// Owner: the shard. Thread: the shard's.
class write_forecast {
  public:
    /// Whether to protect this page. What comes in for a one-pass reader is not written.
    [[nodiscard]] bool stays_clean(page_entry& entry) {
        if (entry.has(page_flag::passing))
            return true;
        if (!entry.has(page_flag::write_prone) && written_ <= quarter)
            return true;
        if (++expected_ % try_every != 0)
            return false;
        entry.clear(page_flag::write_prone);
        return true;
    }

    /// A fault: a protected page is being written.
    void was_written() { learn(whole); }
    /// A page left memory without a write.
    void left_clean() { learn(0); }

  private:
    static constexpr std::int32_t whole = 1 << 16;
    static constexpr std::int32_t quarter = whole / 4;
    static constexpr unsigned try_every = 16;

    /// Moving average over about 64 pages.
    void learn(std::int32_t share) { written_ += (share - written_) / 64; }

    std::int32_t written_ = 0; ///< share of the protected pages, in parts of `whole`
    unsigned expected_ = 0;    ///< writes that were forecast
};

} // namespace uffdmm
