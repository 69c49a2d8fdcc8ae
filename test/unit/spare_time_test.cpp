// SPDX-License-Identifier: BSD-3-Clause
#include "executor/spare_time.hpp"

#include <cstring>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "tier/ram/compress_job.hpp"

namespace {

using namespace uffdmm;

struct no_waker final : waker {
    void wake() noexcept override {}
};

/// Workers that do nothing until they are told to.
struct waiting_workers final : executor {
    std::vector<job*> jobs;

    void submit(std::span<job* const> list) noexcept override {
        for (job* j : list) {
            accept(*j);
            jobs.push_back(j);
        }
    }
    void run_all() {
        for (job* j : std::exchange(jobs, {}))
            run_and_post(*j);
    }
};

struct counted_job final : job {
    counted_job(mailbox& home, int number, std::vector<int>& delivered, bool small = true)
        : job(home), number_(number), delivered_(delivered), small_(small) {}

    void run() noexcept override {
        while (!run_part()) {
        }
    }
    bool run_part() noexcept override { return ++parts == all_parts; }
    [[nodiscard]] bool has_small_parts() const noexcept override { return small_; }
    void deliver() noexcept override { delivered_.push_back(number_); }

    static constexpr int all_parts = 3;
    int parts = 0;

  private:
    int number_;
    std::vector<int>& delivered_;
    bool small_;
};

struct nobody_asks final : compress_owner {
    void compressed(compress_job&) noexcept override {}
};

struct rig {
    static constexpr spare_time::round idle{.serving = true, .idle = true};
    static constexpr spare_time::round busy{.serving = true};
    static constexpr spare_time::round quiet{.idle = true};
    static constexpr spare_time::round outrun{.serving = true, .outrun = true, .idle = true};

    rig() { (void)use(busy); }

    no_waker nobody;
    mailbox home{nobody};
    waiting_workers workers;
    spare_time spare{workers};
    std::vector<int> delivered;
    std::uint64_t now = 1;

    bool use(spare_time::round r) {
        r.began_ns = now;
        return spare.use(r);
    }
    void submit(std::vector<job*> jobs) { spare.submit(jobs); }
    void submit(job& j) { submit(std::vector{&j}); }
};

} // namespace

TEST_CASE("spare time: jobs are done part by part, in order, in rounds that are idle") {
    rig r;
    counted_job first(r.home, 1, r.delivered);
    counted_job second(r.home, 2, r.delivered);
    r.submit({&first, &second});
    CHECK(r.workers.jobs.empty());
    CHECK(r.home.expects_jobs());

    CHECK(r.use(rig::busy));
    CHECK(first.parts == 0);
    for (int part = 1; part <= counted_job::all_parts; ++part) {
        CHECK(r.use(rig::idle));
        CHECK(first.parts == part);
        CHECK(second.parts == 0);
    }
    CHECK(r.home.drain() == 1);
    CHECK(r.delivered == std::vector{1});

    for (int part = 1; part <= counted_job::all_parts; ++part)
        CHECK(r.use(rig::idle));
    CHECK(r.home.drain() == 1);
    CHECK(r.delivered == std::vector{1, 2});
    CHECK_FALSE(r.home.expects_jobs());
    CHECK_FALSE(r.use(rig::idle));
    CHECK(r.workers.jobs.empty());
}

TEST_CASE("spare time: jobs of large parts go to the workers, those around them do not") {
    rig r;
    counted_job first(r.home, 1, r.delivered);
    counted_job large(r.home, 2, r.delivered, false);
    r.submit(first);
    r.submit(large);
    CHECK(r.workers.jobs == std::vector<job*>{&large});
    r.workers.run_all();
    for (int part = 0; part < counted_job::all_parts; ++part)
        CHECK(r.use(rig::idle));
    (void)r.home.drain();
    CHECK(r.delivered == std::vector{2, 1});
}

TEST_CASE("spare time: without faults there is no reason to keep jobs") {
    rig r;
    counted_job kept(r.home, 1, r.delivered);
    r.submit(kept);
    CHECK(r.use(rig::idle));
    CHECK(r.use(rig::quiet));
    CHECK(r.workers.jobs == std::vector<job*>{&kept});
    CHECK_FALSE(r.use(rig::quiet));

    counted_job later(r.home, 2, r.delivered);
    r.submit(later);
    CHECK(r.workers.jobs == std::vector<job*>{&kept, &later});
    r.workers.run_all();
    CHECK(kept.parts == counted_job::all_parts); // not begun anew
    (void)r.home.drain();
    CHECK(r.delivered == std::vector{1, 2});
    CHECK_FALSE(r.home.expects_jobs());
}

TEST_CASE("spare time: where reclaim does not keep up the workers compress") {
    rig r;
    counted_job kept(r.home, 1, r.delivered);
    counted_job next(r.home, 2, r.delivered);
    r.submit(kept);
    CHECK(r.use(rig::outrun));
    CHECK(r.workers.jobs == std::vector<job*>{&kept});
    CHECK(kept.parts == 0);
    r.submit(next);
    CHECK(r.workers.jobs == std::vector<job*>{&kept, &next});
    counted_job later(r.home, 3, r.delivered);
    CHECK_FALSE(r.use(rig::idle));
    r.submit(later);
    CHECK(r.workers.jobs.size() == 2);
    r.workers.run_all();
    r.spare.hand_over();
    r.workers.run_all();
    CHECK(r.home.drain() == 3);
}

TEST_CASE("spare time: jobs that are too slow go to the workers, and so do the next ones") {
    rig r;
    counted_job slow(r.home, 1, r.delivered);
    r.submit(slow);
    CHECK(r.use(rig::busy));
    r.now += spare_time::patience_ns;
    CHECK(r.use(rig::busy));
    CHECK(r.workers.jobs.empty());
    r.now += 1;
    CHECK(r.use(rig::busy));
    CHECK(r.workers.jobs == std::vector<job*>{&slow});

    std::vector<counted_job> next(spare_time::busy_jobs, counted_job(r.home, 2, r.delivered));
    for (counted_job& j : next)
        r.submit(j);
    CHECK(r.workers.jobs.size() == 1 + spare_time::busy_jobs);
    counted_job tried(r.home, 3, r.delivered);
    r.submit(tried);
    CHECK(r.workers.jobs.size() == 1 + spare_time::busy_jobs);
    CHECK(r.use(rig::idle));
    CHECK(tried.parts == 1);
    r.workers.run_all();
    r.spare.hand_over();
    r.workers.run_all();
    CHECK(r.home.drain() == 2 + spare_time::busy_jobs);
}

TEST_CASE("spare time: each job has its own time") {
    rig r;
    counted_job first(r.home, 1, r.delivered);
    counted_job second(r.home, 2, r.delivered);
    r.submit({&first, &second});
    for (int part = 0; part < 2 * counted_job::all_parts; ++part) {
        r.now += spare_time::patience_ns / counted_job::all_parts;
        CHECK(r.use(rig::idle));
    }
    CHECK(r.workers.jobs.empty());
    CHECK(r.home.drain() == 2);
}

TEST_CASE("spare time: what is kept at the end goes to the workers") {
    rig r;
    counted_job kept(r.home, 1, r.delivered);
    {
        spare_time spare(r.workers);
        (void)spare.use(rig::busy);
        job* const list[] = {&kept};
        spare.submit(list);
        CHECK(r.workers.jobs.empty());
    }
    CHECK(r.workers.jobs == std::vector<job*>{&kept});
    r.workers.run_all();
    CHECK(r.home.drain() == 1);
    CHECK_FALSE(r.home.expects_jobs());
}

TEST_CASE("spare time: compressing can go on elsewhere after any page") {
    rig r;
    nobody_asks owner;
    const page_compressor compressor(codec::lz4, 0);
    compress_job job(r.home, owner, compressor, page_size);
    std::vector<std::byte> pages(3 * page_size);
    std::vector<store_request> requests(3);
    for (std::size_t i = 0; i < 3; ++i) {
        std::memset(pages.data() + i * page_size, static_cast<int>(i + 1), page_size / 2);
        requests[i].contents = pages.data() + i * page_size;
        requests[i].owner = i;
        job.add(requests[i]);
    }
    r.submit(job);
    CHECK(r.use(rig::idle));
    r.spare.hand_over();
    REQUIRE(r.workers.jobs.size() == 1);
    r.workers.run_all();

    page_decompressor decompressor(codec::lz4);
    for (std::size_t i = 0; i < 3; ++i) {
        const compress_job::result& result = job.results()[i];
        REQUIRE(result.length != 0);
        std::vector<std::byte> out(page_size);
        CHECK(decompressor.decompress(job.bytes_of(result), out.data()));
        CHECK(std::memcmp(out.data(), requests[i].contents, page_size) == 0);
    }
    (void)r.home.drain();
}

TEST_CASE("spare time: zstd is not for the thread that answers faults") {
    rig r;
    nobody_asks owner;
    const page_compressor compressor(codec::zstd, 1);
    compress_job job(r.home, owner, compressor, page_size);
    r.submit(job);
    CHECK(r.workers.jobs.size() == 1);
    r.workers.run_all();
    (void)r.home.drain();
}
