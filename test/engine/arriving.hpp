// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Pages that arrive in a shard_world, and what tests say of them.

#include <memory>
#include <utility>
#include <vector>

#include "engine/small_world.hpp"
#include "uffdmm/engine/arrival_job.hpp"

namespace uffdmm::test {

struct arriving_options {
    bool zero = false;
    bool cold = false;
    bool replace = false;
    bool expected = false;
    std::uint64_t lost = 0;
    std::vector<unsigned> versions; ///< of the contents; all 1 unless given
};

/// Posted by its constructor; must end before it does. The world's model gets the contents when
/// they are there.
class arriving {
  public:
    arriving(shard_world& w, page_run run, arriving_options o = {})
        : world_(w), run_(run), versions_(std::move(o.versions)),
          memory_(std::make_unique<std::byte[]>((run.count + std::size_t{1}) * page_size)),
          command_(command::kind::arrive, run, w.engine->commands()) {
        if (versions_.empty())
            versions_.assign(run.count, o.zero ? 0 : 1);
        const auto raw = reinterpret_cast<std::uintptr_t>(memory_.get());
        std::byte* contents = memory_.get() + (page_size - raw % page_size) % page_size;
        for (page_count i = 0; i < run.count; ++i)
            shard_world::fill(contents + std::size_t{i} * page_size, run.first + i, versions_[i]);
        before_.reserve(run.count);
        for (page_count i = 0; i < run.count; ++i) {
            before_.push_back(w.version(run.first + i));
            w.truth({run.first + i, 1}, versions_[i]);
        }
        job_.pages = run.count == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << run.count) - 1;
        job_.zeros = o.zero ? job_.pages : 0;
        job_.cold = o.cold ? job_.pages : 0;
        job_.replace = o.replace;
        job_.expected = o.expected;
        job_.lost = o.lost;
        job_.contents = contents;
        command_.arrival = &job_;
        w.step(); // the shard's watermarks are those of its limit
        w.post(command_);
    }
    result<void> wait() {
        while (!world_.done(command_)) {
            world_.step();
            world_.progress_discard();
        }
        for (page_count i = 0; i < run_.count; ++i)
            if ((job_.present >> i & 1) != 0)
                world_.truth({run_.first + i, 1}, before_[i]);
        return command_.outcome;
    }
    [[nodiscard]] const result<void>& outcome() const { return command_.outcome; }
    [[nodiscard]] std::uint64_t present() const { return job_.present; }
    /// The pages are what they were.
    void never_came() {
        for (page_count i = 0; i < run_.count; ++i)
            world_.truth({run_.first + i, 1}, before_[i]);
    }
    /// Those that are untouched never came.
    void came_in_part() {
        for (page_count i = 0; i < run_.count; ++i)
            if (world_.state(run_.first + i) == page_state::untouched)
                world_.truth({run_.first + i, 1}, before_[i]);
    }

  private:
    shard_world& world_;
    page_run run_;
    std::vector<unsigned> versions_;
    std::vector<std::uint32_t> before_;
    std::unique_ptr<std::byte[]> memory_;
    arrival_job job_;
    command command_;
};

} // namespace uffdmm::test
