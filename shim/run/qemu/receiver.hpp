// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The destination's side: reads the section's records and puts pages where they belong without
/// touching the guest's memory. What QEMU's own RAM section has for a page is written there by
/// QEMU, as ever; a section is flushed before that can come.

#include <memory>
#include <string>
#include <vector>

#include "run/qemu/calls.hpp"
#include "run/qemu/handover.hpp"
#include "run/qemu/moving_blocks.hpp"
#include "run/qemu/stream.hpp"
#include "uffdmm/migration.hpp"

namespace preload::qemu {

/// On the thread that reads the stream, in a coroutine: any read may switch to another one, so
/// nothing is locked, and the thread is not `inside`, meanwhile.
class receiver {
  public:
    receiver(const calls& qemu, handover& owner) : qemu_(qemu), owner_(owner) {}

    /// One section. "" or what is wrong.
    [[nodiscard]] std::string load(QEMUFile* file);
    /// What is incomplete is given up.
    void end();

  private:
    struct block {
        moving_block what;
        std::unique_ptr<uffdmm::migration_target> target;
    };
    struct announced_block {
        std::string name;
        std::uint64_t bytes = 0;
    };

    [[nodiscard]] std::string load_record(QEMUFile* file, const record_head& head);
    [[nodiscard]] std::string load_announcement(QEMUFile* file);
    [[nodiscard]] std::string begin(const std::vector<announced_block>& announced,
                                    const uffdmm::encoded_volume_name& volume,
                                    const uffdmm::handover_nonce& nonce);
    [[nodiscard]] std::string load_page(QEMUFile* file, const record_head& head);
    [[nodiscard]] std::string flush();
    void give_up();

    const calls& qemu_;
    handover& owner_;
    std::vector<block> blocks_;
};

} // namespace preload::qemu
