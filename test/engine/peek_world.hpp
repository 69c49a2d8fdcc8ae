// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A peek on a shard_world, and what tests say of it.

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "engine/small_world.hpp"
#include "uffdmm/engine/peek_job.hpp"

namespace uffdmm::test {

/// Posted by its constructor; must end before it does.
class peeked {
  public:
    enum mode { with_contents, without_contents, watched };

    peeked(shard_world& w, page_run run, mode how = with_contents, unsigned window = 0)
        : world_(w), run_(run), records_(run.count),
          memory_(std::make_unique<std::byte[]>((run.count + std::size_t{1}) * page_size)),
          command_(command::kind::peek, run, w.engine->commands()) {
        const auto raw = reinterpret_cast<std::uintptr_t>(memory_.get());
        contents_ = memory_.get() + (page_size - raw % page_size) % page_size;
        job_.records = records_.data();
        job_.contents = how == without_contents ? nullptr : contents_;
        job_.watch = how == watched;
        job_.window = window;
        command_.peek = &job_;
        w.post(command_);
    }
    void wait() {
        while (!world_.done(command_)) {
            world_.step();
            world_.progress_discard();
        }
        REQUIRE(command_.outcome.ok());
    }
    [[nodiscard]] const page_record& record(page_index page) const {
        return records_[page - run_.first];
    }
    [[nodiscard]] const std::byte* contents(page_index page) const {
        return contents_ + std::size_t{page - run_.first} * page_size;
    }
    /// Whether the page's contents are those of its `version`th write.
    [[nodiscard]] bool holds(page_index page, std::uint32_t version) const {
        std::byte expected[page_size];
        shard_world::fill(expected, page, version);
        return std::memcmp(contents(page), expected, page_size) == 0;
    }
    [[nodiscard]] std::uint64_t changed() const {
        const std::uint64_t mask =
            run_.count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << run_.count) - 1;
        const std::uint64_t bits = world_.engine->changed_pages(job_.window);
        return bits == ~std::uint64_t{0} ? bits : bits & mask;
    }
    [[nodiscard]] auto count(page_kind kind) const {
        return std::ranges::count_if(records_,
                                     [=](const page_record& r) { return r.kind == kind; });
    }

  private:
    shard_world& world_;
    page_run run_;
    std::vector<page_record> records_;
    std::unique_ptr<std::byte[]> memory_;
    std::byte* contents_ = nullptr;
    peek_job job_;
    command command_;
};

/// Makes a page same-filled and swapped: its fifth write is.
inline void make_same_filled(shard_world& w, page_index page) {
    for (unsigned version = 1; version <= 5; ++version)
        w.touch(page, true);
    REQUIRE(w.run_command(command::kind::evict, {page, 1}).ok());
    REQUIRE(w.state(page) == page_state::swapped);
    REQUIRE(w.engine->table()[page].tier() == same_filled_tier);
}

} // namespace uffdmm::test
