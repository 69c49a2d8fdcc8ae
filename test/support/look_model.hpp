// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A watched peek against the reference model: when it ends, each page's contents are those of some
/// moment in between; and those of unmarked pages are true for as long as the window is watched.

#include <cstring>
#include <memory>
#include <vector>

#include "support/shard_world.hpp"
#include "uffdmm/engine/peek_job.hpp"

namespace uffdmm::test {

class look_model {
  public:
    look_model(shard_world& w, page_run run, unsigned window = 0)
        : world_(w), run_(run), records_(run.count), before_(run.count),
          memory_(std::make_unique<std::byte[]>((run.count + std::size_t{1}) * page_size)),
          command_(command::kind::peek, run, w.engine->commands()) {
        const auto raw = reinterpret_cast<std::uintptr_t>(memory_.get());
        contents_ = memory_.get() + (page_size - raw % page_size) % page_size;
        for (page_count i = 0; i < run.count; ++i)
            before_[i] = {w.version(run.first + i), w.uncertain(run.first + i)};
        job_.records = records_.data();
        job_.contents = contents_;
        job_.watch = true;
        job_.window = window;
        command_.peek = &job_;
        w.post(command_);
    }
    look_model(const look_model&) = delete;
    look_model& operator=(const look_model&) = delete;
    ~look_model() {
        while (!done())
            world_.step();
        check();
    }

    [[nodiscard]] bool done() { return world_.done(command_); }

    /// Between any two operations.
    void check() {
        if (!settled_)
            for (page_count i = 0; i < run_.count; ++i)
                before_[i].uncertain |= was_discarded(i);
        if (!done())
            return;
        const std::uint64_t changed = world_.engine->changed_pages(job_.window);
        for (page_count i = 0; i < run_.count; ++i) {
            const page_index page = run_.first + i;
            if (before_[i].uncertain || world_.uncertain(page))
                continue; // a discard that is heard of is marked
            if ((changed >> i & 1) == 0)
                UFFDMM_CHECK(says(i, world_.version(page)), "an unmarked page is what was said");
            else if (!settled_)
                UFFDMM_CHECK(says_one_of(i, before_[i].version, world_.version(page)),
                             "a page is what it was at some moment of the look");
        }
        settled_ = true;
    }

  private:
    struct known {
        std::uint32_t version = 0;
        bool uncertain = false; ///< it was discarded, or may have been lost, meanwhile
    };

    [[nodiscard]] bool was_discarded(page_count i) const {
        const page_index page = run_.first + i;
        return world_.uncertain(page) || world_.version(page) < before_[i].version;
    }
    [[nodiscard]] bool says_one_of(page_count i, std::uint32_t from, std::uint32_t to) const {
        for (std::uint32_t version = from; version <= to; ++version)
            if (says(i, version))
                return true;
        return false;
    }
    /// Whether the record is right for a page of that version.
    [[nodiscard]] bool says(page_count i, std::uint32_t version) const {
        std::byte expected[page_size];
        shard_world::fill(expected, run_.first + i, version);
        const auto pattern = fill_pattern_of(expected);
        switch (records_[i].kind) {
        case page_kind::untouched:
            // What came through another mapping of shared memory is the file's to tell.
            return pattern == std::uint64_t{0} || world_.options.traits.shared;
        case page_kind::same_filled:
            return pattern == records_[i].pattern;
        case page_kind::swapped:
            return std::memcmp(contents_ + i * page_size, expected, page_size) == 0;
        case page_kind::located:
        case page_kind::lost:
        case page_kind::unreadable:
        case page_kind::resident:
            return true; // says nothing of the contents
        }
        return false;
    }

    shard_world& world_;
    page_run run_;
    std::vector<page_record> records_;
    std::vector<known> before_;
    std::unique_ptr<std::byte[]> memory_;
    std::byte* contents_ = nullptr;
    bool settled_ = false;
    peek_job job_;
    command command_;
};

} // namespace uffdmm::test
