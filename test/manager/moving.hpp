// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A source and a target of a migration in one process, and the little of a VMM that they need.

#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "support/managed_world.hpp"
#include "uffdmm/detail/mapping.hpp"

namespace uffdmm::test {

struct side_options {
    bool file = false; ///< a file on disk; else compressed memory, and a file
    unsigned shards = 1;
    backing kind = backing::private_anonymous;
    byte_count size = 24 * mib;
    byte_count limit = 12 * mib;
    std::string store; ///< the last tier is this file, which other hosts read too
    std::string uri{}; ///< or this export, with `store` as its table
};

/// A manager with one region.
struct side {
    explicit side(const side_options& o) : m(config_of(o)), r(m.add_region(region_of(o))) {}

    static manager_config config_of(const side_options& o) {
        (void)probe();
        manager_config config;
        config.limit = o.limit;
        file_tier_config disk{
            .path = "/var/tmp", .size = 64 * mib, .preallocate = false, .queue_depth = 16};
        if (!o.store.empty()) {
            disk.path = o.store;
            disk.size = 256 * mib;
            disk.shared = true;
        }
        config.tiers.clear();
        if (!o.file)
            config.tiers.emplace_back(ram_tier_config{.size = 4 * mib});
        if (o.uri.empty())
            config.tiers.emplace_back(disk);
        else
            config.tiers.emplace_back(nbd_tier_config{.uri = o.uri, .shared_table = o.store});
        return config;
    }
    static region_config region_of(const side_options& o) {
        region_config config;
        config.size = o.size;
        config.kind = o.kind;
        config.shards = o.shards;
        config.prefetch = "off";
        return config;
    }
    void rest() { REQUIRE(m.wait_until_idle(std::chrono::seconds(60)).ok()); }

    manager m;
    region& r;
};

/// Page-aligned memory outside any region.
class page_buffer {
  public:
    explicit page_buffer(std::size_t pages) : memory_(mapping::anonymous(pages * page_size)) {}
    [[nodiscard]] std::byte* data() const { return memory_.data(); }

  private:
    mapping memory_;
};

/// Which pages were written: a bit is set after its write, as a VMM's log has it at the latest.
class dirty_log {
  public:
    explicit dirty_log(std::uint64_t pages) : dirty_(pages) {}
    void all() {
        for (auto& d : dirty_)
            d.store(true);
    }
    void wrote(std::uint64_t page) { dirty_[page].store(true); }
    [[nodiscard]] bool clear(std::uint64_t page) { return dirty_[page].exchange(false); }
    [[nodiscard]] std::uint64_t pages() const { return dirty_.size(); }

  private:
    std::vector<std::atomic<bool>> dirty_;
};

/// Reads guest memory while the guest writes to it, as a migration does.
__attribute__((no_sanitize("thread"))) inline void copy_of_guest(std::byte* to,
                                                                 const std::byte* from) {
    const auto* in = reinterpret_cast<const volatile std::uint64_t*>(from);
    auto* out = reinterpret_cast<std::uint64_t*>(to);
    for (std::size_t i = 0; i < page_size / 8; ++i)
        out[i] = in[i];
}

/// The migration thread of a VMM.
class mover {
  public:
    mover(const region& from, migration_source& source, migration_target& target)
        : from_(from), source_(source), target_(target), page_(1) {}

    std::array<std::uint64_t, page_kinds> kinds{};

    /// One pass over what is dirty.
    void dirty(dirty_log& log) {
        for (std::uint64_t i = 0; i < log.pages(); ++i)
            if (log.clear(i))
                page(i);
    }
    void page(std::uint64_t i) {
        const auto view = source_.page(i * page_size);
        REQUIRE(view.ok());
        ++kinds[static_cast<unsigned>(view.value().record.kind)];
        REQUIRE(send(i * page_size, view.value()).ok());
    }

  private:
    result<void> send(byte_count offset, const page_view& view) {
        switch (view.record.kind) {
        case page_kind::untouched:
            return target_.zero(offset, page_size);
        case page_kind::same_filled:
            for (std::size_t at = 0; at < page_size; at += 8)
                std::memcpy(page_.data() + at, &view.record.pattern, 8);
            return target_.put(offset, {page_.data(), page_size}, warmth::cold);
        case page_kind::resident:
            copy_of_guest(page_.data(), from_.data() + offset);
            return target_.put(offset, {page_.data(), page_size}, warmth::warm);
        case page_kind::swapped:
            return target_.put(offset, {view.contents, page_size}, warmth::cold);
        case page_kind::located:
            return target_.adopt(offset, *view.place);
        default:
            return error{errc::io_error, 0, "no contents"};
        }
    }

    const region& from_;
    migration_source& source_;
    migration_target& target_;
    page_buffer page_;
};

/// A guest CPU: writes to a few pages much and to all a little, until told to stop.
inline void write_at_random(region& r, dirty_log& log, const std::atomic<bool>& stop,
                            unsigned cpu) {
    std::mt19937_64 random(cpu + 1);
    std::uint64_t version = 2;
    while (!stop.load()) {
        // Each CPU has its own pages, so that a page has one version at a time.
        const std::uint64_t half = pages_in(r) / 2;
        const std::uint64_t some = random() % 4 == 0 ? half : half / 8;
        const std::uint64_t page = 2 * (random() % some) + cpu;
        if (random() % 16 == 0)
            (void)stamp_holds(page_of(r, page), page, 0); // only reads
        stamp(page_of(r, page), page, version++);
        log.wrote(page);
    }
}

/// Pages that differ, as the guests see them.
inline std::uint64_t different_pages(const std::byte* a, const region& b) {
    std::uint64_t different = 0;
    for (std::uint64_t i = 0; i < pages_in(b); ++i)
        different += std::memcmp(a + i * page_size, page_of(b, i), page_size) == 0 ? 0 : 1;
    return different;
}
inline std::uint64_t different_pages(const region& a, const region& b) {
    return different_pages(a.data(), b);
}

} // namespace uffdmm::test
