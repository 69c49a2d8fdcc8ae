// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The source's side: pages that are out of the guest leave QEMU's RAM stream and go in the section
/// of our own.
///
///     QEMU: bitmap synchronised ──► take_pages(): what is out of the guest, and was not taken
///                                   before, is hinted to be free: QEMU clears its dirty bits and
///                                   passes it over. It is pending from then on.
///     QEMU: a part of our section ► send_pending(): looks at a pending page, sends what it is
///                                   now, and forgets it.
///
/// Why no byte is lost. A page's dirty bit is cleared before it is looked at, and it is looked at
/// when it is sent; so what the guest writes after that sets the bit again, and QEMU sends the
/// contents in a later round. All records are written by one thread, so that the order in the
/// stream is that of the moments they tell of: neither QEMU's contents nor our records can
/// be older than what they replace. A page that is in the guest by the time it is sent goes with
/// its contents. A page is taken once in a migration: what the guest writes afterwards is QEMU's to
/// send, so that the rounds come to an end. Nothing is taken for the last round, when the guest has
/// stopped.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "run/qemu/calls.hpp"
#include "run/qemu/moving_blocks.hpp"
#include "run/qemu/page_marks.hpp"
#include "run/qemu/stream.hpp"
#include "uffdmm/detail/mapping.hpp"
#include "uffdmm/migration.hpp"

namespace preload::qemu {

/// On the thread that writes the stream.
class sender {
  public:
    struct tally {
        std::uint64_t located = 0; ///< pages, by what they were sent as
        std::uint64_t zeros = 0;
        std::uint64_t patterns = 0;
        std::uint64_t swapped = 0;
        std::uint64_t resident = 0;
    };

    explicit sender(const calls& qemu);

    /// Begins to read the blocks; "" or what is wrong.
    [[nodiscard]] std::string begin(std::vector<moving_block> blocks);
    /// Ends that; leases stay if the destination is to have what is stored.
    void end(bool leases_stay);
    [[nodiscard]] bool active() const noexcept { return !blocks_.empty(); }

    void take_pages();
    [[nodiscard]] std::uint64_t pending_bytes() const noexcept;
    /// As many as the stream's rate allows, for no longer than QEMU sends RAM at a time; or all. ""
    /// or what is wrong.
    [[nodiscard]] std::string send_pending(QEMUFile* file, bool all);
    [[nodiscard]] bool done() const noexcept { return pending_bytes() == 0; }
    [[nodiscard]] const tally& sent() const noexcept { return sent_; }

  private:
    static constexpr std::size_t window = 256; ///< pages that are looked at together

    struct block {
        moving_block what;
        std::unique_ptr<uffdmm::migration_source> source;
        page_marks pending;
        page_marks taken;
    };
    struct zero_run {
        std::uint64_t offset = 0;
        std::uint64_t length = 0;
    };

    void take(block& from, std::uint64_t offset, std::uint64_t length);
    [[nodiscard]] std::string send_window(QEMUFile* file, std::size_t number, std::size_t first);
    [[nodiscard]] uffdmm::result<void> look(block& from, std::size_t first, std::size_t count);
    [[nodiscard]] bool send_page(QEMUFile* file, std::size_t number, std::size_t page,
                                 std::size_t index);
    void head(QEMUFile* file, record_type type, std::size_t number, std::uint64_t offset);
    void flush_zeros(QEMUFile* file, std::size_t number);

    const calls& qemu_;
    std::vector<block> blocks_;
    uffdmm::mapping contents_;
    std::vector<uffdmm::page_record> records_;
    std::vector<uffdmm::location> locations_;
    zero_run zeros_;
    tally sent_;
};

} // namespace preload::qemu
