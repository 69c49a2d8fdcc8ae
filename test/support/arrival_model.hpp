// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Contents from elsewhere in a random script: some pages of a run get another version each, warm,
/// cold or as zeros, and the reference model is told what must be there now.

#include <cstring>
#include <memory>
#include <vector>

#include "support/shard_world.hpp"
#include "uffdmm/engine/arrival_job.hpp"

namespace uffdmm::test {

/// No vCPU may be at work.
class arrival_model {
  public:
    arrival_model(shard_world& w, page_run run, unsigned choices)
        : world_(w), run_(run), before_(run.count),
          memory_(std::make_unique<std::byte[]>((run.count + std::size_t{1}) * page_size)),
          command_(command::kind::arrive, run, w.engine->commands()) {
        const auto raw = reinterpret_cast<std::uintptr_t>(memory_.get());
        std::byte* contents = memory_.get() + (page_size - raw % page_size) % page_size;
        for (page_count i = 0; i < run.count; ++i) {
            const page_index page = run.first + i;
            const unsigned dice = (choices + i) * 2654435761u >> 16;
            before_[i] = w.version(page);
            if (dice % 4 == 0)
                continue;
            const std::uint64_t bit = std::uint64_t{1} << i;
            const bool zero = dice % 16 == 1;
            job_.pages |= bit;
            job_.zeros |= zero && !w.options.traits.shared ? bit : 0; // the region punches these
            job_.cold |= dice % 8 >= 4 ? bit : 0;
            // Another version than any that the page had before.
            w.truth({page, 1}, zero ? 0 : before_[i] + 1);
            shard_world::fill(contents + std::size_t{i} * page_size, page, w.version(page));
        }
        job_.replace = choices % 4 != 0;
        job_.contents = contents;
        command_.arrival = &job_;
    }

    void run() {
        (void)world_.run_command(command::kind::arrive, run_, &command_);
        const errc code = command_.outcome.code();
        UFFDMM_CHECK(code == errc::ok || code == errc::wrong_state || code == errc::poisoned ||
                         code == errc::full || code == errc::busy,
                     "an arrival fails for a reason");
        UFFDMM_CHECK(code != errc::wrong_state || !job_.replace, "what is there is replaced");
        const bool refused = code == errc::wrong_state || code == errc::poisoned;
        for (page_count i = 0; i < run_.count; ++i) {
            const bool given = (job_.pages >> i & 1) != 0;
            const bool stayed = (job_.present >> i & 1) != 0;
            if (given && (refused || stayed))
                world_.truth({run_.first + i, 1}, before_[i]);
            else if (given && code != errc::ok &&
                     world_.state(run_.first + i) == page_state::untouched)
                world_.truth({run_.first + i, 1}, what_the_file_has(i));
        }
    }

  private:
    /// A page that was to be replaced is untouched: zeros, unless another mapping wrote there.
    [[nodiscard]] std::uint32_t what_the_file_has(page_count i) {
        const page_index page = run_.first + i;
        std::byte old[page_size];
        shard_world::fill(old, page, before_[i]);
        const bool stayed =
            world_.os.cached(page) && std::memcmp(world_.os.contents(page), old, page_size) == 0;
        return stayed ? before_[i] : 0;
    }

    shard_world& world_;
    page_run run_;
    std::vector<std::uint32_t> before_;
    std::unique_ptr<std::byte[]> memory_;
    arrival_job job_;
    command command_;
};

} // namespace uffdmm::test
