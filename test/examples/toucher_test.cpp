// SPDX-License-Identifier: BSD-3-Clause
/// The workload on plain memory: what it finds wrong, and what it does not.

#include <algorithm>
#include <array>
#include <vector>

#include "overcommit/toucher.hpp"
#include "support/catch.hpp"
#include "support/seed.hpp"

namespace overcommit {
namespace {

using uffdmm::byte_count;
using uffdmm::page_size;

/// Memory that is always there.
class plain_region final : public uffdmm::region {
  public:
    explicit plain_region(uffdmm::page_count pages) : pages_(pages) {}

    [[nodiscard]] const std::string& name() const noexcept override { return name_; }
    [[nodiscard]] std::byte* data() const noexcept override { return pages_.data()->data(); }
    [[nodiscard]] byte_count size() const noexcept override { return pages_.size() * page_size; }

    uffdmm::result<void> discard(byte_count offset, byte_count length) override {
        if (discard_fails)
            return uffdmm::error{uffdmm::errc::io_error, 0, "discard"};
        if (!discard_forgets)
            std::fill_n(data() + offset, length, std::byte{0});
        return {};
    }
    uffdmm::result<void> pin(byte_count, byte_count) override { return {}; }
    uffdmm::result<void> unpin(byte_count, byte_count) override { return {}; }
    uffdmm::result<std::vector<uffdmm::residency_run>> query(byte_count, byte_count) override {
        return std::vector<uffdmm::residency_run>{};
    }
    uffdmm::result<void> prefetch(byte_count, byte_count) override { return {}; }
    uffdmm::result<byte_count> evict(byte_count, byte_count) override { return byte_count{0}; }
    uffdmm::result<std::unique_ptr<uffdmm::migration_source>>
    begin_source(const uffdmm::migration_source_options&) override {
        return uffdmm::error{uffdmm::errc::not_supported, 0, "begin_source"};
    }
    uffdmm::result<std::unique_ptr<uffdmm::migration_target>> begin_target() override {
        return uffdmm::error{uffdmm::errc::not_supported, 0, "begin_target"};
    }
    [[nodiscard]] uffdmm::shared_store* store() const noexcept override { return nullptr; }
    uffdmm::result<uffdmm::snapshot_report> save(const std::string&,
                                                 const uffdmm::snapshot_options&) override {
        return uffdmm::error{uffdmm::errc::not_supported, 0, "save"};
    }
    uffdmm::result<std::unique_ptr<uffdmm::restoration>> restore(const std::string&) override {
        return uffdmm::error{uffdmm::errc::not_supported, 0, "restore"};
    }

    bool discard_fails = false;
    bool discard_forgets = false;

  private:
    std::string name_ = "plain";
    mutable std::vector<std::array<std::byte, page_size>> pages_;
};

struct plain_world {
    explicit plain_world(options o = {}) : asked(std::move(o)) {
        asked.pattern.pages = pages;
        asked.pattern.seed = uffdmm::test::seed();
        asked.run_time = std::chrono::milliseconds(50);
    }

    static constexpr uffdmm::page_count pages = 64;
    options asked;
    plain_region region{pages};
    page_ledger ledger{pages};
    workload work{asked, region, ledger};
    toucher only{work, 0};
};

TEST_CASE("overcommit: memory that works is found intact", "[overcommit]") {
    UFFDMM_INFO_SEED();
    plain_world world;
    world.asked.discard_percent = 5;
    world.only.populate();
    world.only.run(touch_clock::now());
    world.only.verify();
    CHECK(world.only.touches.load() > 0);
    CHECK(world.only.writes.load() > 0);
    CHECK(world.only.discarded_pages.load() > 0);
    CHECK(world.only.verified_pages.load() == plain_world::pages);
    CHECK(world.ledger.corrupt_pages() == 0);
    CHECK(world.work.wrong.failed_calls() == 0);
}

TEST_CASE("overcommit: a byte changed behind its back makes that page corrupt, counted once",
          "[overcommit]") {
    UFFDMM_INFO_SEED();
    plain_world world;
    world.only.populate();
    world.work.page(17)[page_size - 1] ^= std::byte{1};
    world.only.run(touch_clock::now());
    world.only.verify();
    CHECK(world.ledger.corrupt_pages() == 1);
}

TEST_CASE("overcommit: a page put back to what it was before its last write is corrupt",
          "[overcommit]") {
    UFFDMM_INFO_SEED();
    plain_world world;
    world.only.populate();
    world.work.contents.fill(world.work.page(3), 3, 0);
    world.only.verify();
    CHECK(world.ledger.corrupt_pages() == 1);
}

TEST_CASE("overcommit: contents that outlive their discard are corrupt", "[overcommit]") {
    UFFDMM_INFO_SEED();
    plain_world world;
    world.asked.discard_percent = 5;
    world.region.discard_forgets = true;
    world.only.populate();
    world.only.run(touch_clock::now());
    CHECK(world.ledger.corrupt_pages() > 0);
}

TEST_CASE("overcommit: a discard that fails is counted, and its pages keep their contents",
          "[overcommit]") {
    UFFDMM_INFO_SEED();
    plain_world world;
    world.asked.discard_percent = 5;
    world.region.discard_fails = true;
    world.only.populate();
    world.only.run(touch_clock::now());
    world.only.verify();
    CHECK(world.work.wrong.failed_calls() > 0);
    CHECK(world.ledger.corrupt_pages() == 0);
}

} // namespace
} // namespace overcommit
