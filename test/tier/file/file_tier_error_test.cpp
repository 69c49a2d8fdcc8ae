// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cerrno>
#include <random>

#include "support/catch.hpp"
#include "support/seed.hpp"
#include "tier/file/file_rig.hpp"

namespace {

using namespace uffdmm;
using namespace uffdmm::test;

struct on_memory {
    temporary_directory directory;
    std::shared_ptr<file_store> store =
        std::make_shared<file_store>(file_config(directory.path(), 64 << 20));
    std::shared_ptr<queue_script> script = std::make_shared<queue_script>();
    shard_rig shard{store, script, 8};

    [[nodiscard]] std::uint64_t offset_of(slot_id slot) const {
        return store->offset_of(slot_number(slot));
    }
    /// Every I/O that touches the page ends with `os_errno`.
    void break_page(std::uint64_t offset, int os_errno) {
        script->outcome = [=](const io_op& op, std::size_t bytes) -> std::int64_t {
            if (op.offset <= offset && offset < op.offset + bytes)
                return -os_errno;
            return static_cast<std::int64_t>(bytes);
        };
    }
};

bool all_are(const std::vector<tier_status>& statuses, tier_status wanted) {
    return std::all_of(statuses.begin(), statuses.end(),
                       [=](tier_status status) { return status == wanted; });
}

TEST_CASE("file_tier: io_error_on_read fails the page with the bad block alone") {
    on_memory m;
    const auto slots = m.shard.stored(keys(0, 64));
    m.break_page(m.offset_of(slots[20]), EIO);
    const auto statuses = m.shard.load(slots, keys(0, 64));
    for (std::size_t i = 0; i < 64; ++i)
        REQUIRE(statuses[i] == (i == 20 ? tier_status::failed : tier_status::ok));
    m.script->outcome = nullptr; // the medium recovers, and with it the page
    m.shard.require_contents(slots, keys(0, 64));
}

TEST_CASE("file_tier: io_error_on_write fails the pages of that I/O, and they hold no slots") {
    on_memory m;
    m.script->outcome = [](const io_op&, std::size_t) -> std::int64_t { return -EIO; };
    for (const store_request& request : m.shard.store(keys(0, 64))) {
        REQUIRE(request.status == tier_status::failed);
        REQUIRE(request.slot == no_slot);
    }
    REQUIRE(m.shard.tier().usage().pages == 0);
    m.script->outcome = nullptr;
    m.shard.require_contents(m.shard.stored(keys(0, 64)), keys(0, 64));
}

TEST_CASE("file_tier: disk_full is `full`, not a failure") {
    on_memory m;
    const int os_errno = GENERATE(ENOSPC, EDQUOT);
    m.script->outcome = [=](const io_op&, std::size_t) -> std::int64_t { return -os_errno; };
    for (const store_request& request : m.shard.store(keys(0, 64)))
        REQUIRE(request.status == tier_status::full);
    REQUIRE(m.shard.tier().usage().pages == 0);
}

TEST_CASE("file_tier: disk_full in the middle of a write keeps what was written before") {
    on_memory m;
    m.script->outcome = [](const io_op&, std::size_t bytes) -> std::int64_t {
        return bytes == 64 * page_size ? static_cast<std::int64_t>(10 * page_size + 512) : -ENOSPC;
    };
    const auto requests = m.shard.store(keys(0, 64));
    m.script->outcome = nullptr;
    for (std::size_t i = 0; i < 64; ++i) {
        REQUIRE(requests[i].status == (i < 10 ? tier_status::ok : tier_status::full));
        if (i < 10)
            m.shard.require_contents({requests[i].slot}, {i});
    }
}

TEST_CASE("file_tier: short reads and writes are continued, down to a sector at a time") {
    on_memory m;
    const std::size_t step = GENERATE(as<std::size_t>{}, page_size, 3 * page_size, page_size + 512);
    m.script->outcome = [=](const io_op&, std::size_t bytes) {
        return static_cast<std::int64_t>(std::min(bytes, step));
    };
    const auto slots = m.shard.stored(keys(0, 64));
    m.shard.require_contents(slots, keys(0, 64));
    REQUIRE(m.script->submitted >= 2 * 64 * page_size / step);
}

TEST_CASE("file_tier: I/O that never gets anywhere fails after a bounded number of tries") {
    on_memory m;
    const auto slots = m.shard.stored(keys(0, 2));
    const std::int64_t answer = GENERATE(0, 512, -EAGAIN, -EINTR);
    m.script->outcome = [=](const io_op&, std::size_t) { return answer; };
    REQUIRE(all_are(m.shard.load(slots, keys(0, 2)), tier_status::failed));
    REQUIRE(m.shard.store({5})[0].status == tier_status::failed);
    REQUIRE(m.script->submitted < 64);
}

TEST_CASE("file_tier: EAGAIN and a partial count of io_submit delay requests and lose none") {
    on_memory m;
    m.script->submit_answers = {-EAGAIN, 0, -EINTR, 1, -EAGAIN, 2, 1, -EAGAIN};
    const auto slots = m.shard.stored(keys(0, 640)); // more than eight I/Os
    REQUIRE(m.script->arms >= 1); // with nothing under way, event_fd brings the next poll
    m.script->submit_answers = {1, -EAGAIN, 1, -EAGAIN, -EAGAIN};
    m.shard.require_contents(slots, keys(0, 640));
}

TEST_CASE("file_tier: an error of io_submit fails the first I/O alone") {
    on_memory m;
    const auto slots = m.shard.stored(keys(0, 192));
    m.script->submit_answers = {-EIO, 8};
    const auto requests = m.shard.store(keys(1000, 128)); // two I/Os
    for (std::size_t i = 0; i < 128; ++i)
        REQUIRE(requests[i].status == (i < 64 ? tier_status::failed : tier_status::ok));
    m.script->submit_answers = {-ENOSPC};
    REQUIRE(m.shard.store({1})[0].status == tier_status::full);
    m.script->submit_answers = {-EIO}; // the pages are read one by one then
    m.shard.require_contents(slots, keys(0, 192));
    m.script->submit_answers = std::deque<int>(65, -EIO);
    REQUIRE(all_are(m.shard.load({slots.begin(), slots.begin() + 64}, keys(0, 64)),
                    tier_status::failed));
}

TEST_CASE("file_tier: requests are lost neither to late nor to reordered completions") {
    on_memory m;
    m.script->latest_first = true;
    m.script->at_most = 1;
    const auto slots = m.shard.stored(keys(0, 1024));
    auto order = keys(0, 1024);
    std::mt19937_64 random(test::seed());
    std::shuffle(order.begin(), order.end(), random);
    std::vector<slot_id> shuffled;
    for (const std::uint64_t key : order)
        shuffled.push_back(slots[key]);
    m.shard.require_contents(shuffled, order);
}

/// Requests of random size against every kind of trouble at once.
TEST_CASE(
    "file_tier: io_error_on_read, io_error_on_write, disk_full and short I/O at random: every "
    "request ends once, and what is stored can be read") {
    UFFDMM_INFO_SEED();
    on_memory m;
    std::mt19937_64 random(test::seed());
    bool calm = false;
    m.script->outcome = [&](const io_op&, std::size_t bytes) -> std::int64_t {
        const std::int64_t errors[] = {-EIO, -ENOSPC, -EAGAIN, -EINTR, 0};
        if (calm || random() % 4 != 0)
            return static_cast<std::int64_t>(bytes);
        if (random() % 2 == 0)
            return static_cast<std::int64_t>(random() % bytes & ~std::size_t{511});
        return errors[random() % 5];
    };
    std::vector<slot_id> slots;
    std::vector<std::uint64_t> names;
    std::uint64_t next = 0;
    for (int i = 0; i < 2000; ++i) {
        m.script->latest_first = random() % 2 == 0;
        m.script->at_most = 1 + random() % 8;
        const int answers[] = {-EAGAIN, 0, 1, 2, -EIO, 8};
        if (random() % 4 == 0)
            m.script->submit_answers.push_back(answers[random() % 6]);
        if (random() % 2 == 0) {
            const std::size_t n = 1 + random() % 100;
            const auto requests = m.shard.store(keys(next, n));
            for (std::size_t k = 0; k < n; ++k)
                if (requests[k].status == tier_status::ok) {
                    slots.push_back(requests[k].slot);
                    names.push_back(next + k);
                }
            next += n;
        } else if (!slots.empty()) {
            const std::size_t n = std::min<std::size_t>(slots.size(), 1 + random() % 100);
            const std::size_t at = random() % (slots.size() - n + 1);
            const auto from = static_cast<std::ptrdiff_t>(at);
            const auto to = from + static_cast<std::ptrdiff_t>(n);
            const std::vector<slot_id> some(slots.begin() + from, slots.begin() + to);
            for (const tier_status status :
                 m.shard.load(some, {names.begin() + from, names.begin() + to}))
                REQUIRE((status == tier_status::ok || status == tier_status::failed));
            m.shard.release(some);
            slots.erase(slots.begin() + from, slots.begin() + to);
            names.erase(names.begin() + from, names.begin() + to);
        }
        if (random() % 4 == 0)
            m.shard.around.settle();
        REQUIRE(m.shard.tier().usage().pages == slots.size());
    }
    calm = true;
    m.script->submit_answers.clear();
    m.shard.require_contents(slots, names);
}

} // namespace
