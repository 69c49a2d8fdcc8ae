// SPDX-License-Identifier: BSD-3-Clause
/// moved_but_exists: UFFDIO_MOVE moves pages, and says EEXIST (lib/kernel/README.md).

#include <atomic>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include "support/forgetful_ioctl.hpp"
#include "support/kernel_fixture.hpp"

namespace {

using namespace uffdmm;
using namespace uffdmm::test;

/// Makes the kernel migrate pages all the time, as it does now and then to get memory in one piece;
/// for which this process needs to be root.
class compaction {
  public:
    compaction() : thread_([this] { go_on(); }) {}
    compaction(const compaction&) = delete;
    compaction& operator=(const compaction&) = delete;
    ~compaction() {
        stop_.store(true, std::memory_order_relaxed);
        thread_.join();
    }

  private:
    void go_on() const {
        const file_descriptor file(::open("/proc/sys/vm/compact_memory", O_WRONLY | O_CLOEXEC));
        while (file && !stop_.load(std::memory_order_relaxed))
            if (::write(file.get(), "1", 1) != 1)
                return;
    }
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

TEST_CASE("kernel: moved_but_exists: pages that have left count, whatever the kernel says",
          "[kernel]") {
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_MOVE), "UFFDIO_MOVE");
    for (const page_count silent : {1u, 3u, 8u}) {
        INFO(silent << " pages at a time");
        moved_in_silence = silent;
        linux_kernel_options options;
        options.ioctl = &ioctl_that_forgets;
        world w(protocol::private_move, 8, options);
        const auto contents = w.fill(0, 8);
        const kernel_result r = w.os.take_out({0}, 8, {0});
        CHECK(r.status == kernel_status::ok);
        REQUIRE(r.done == 8);
        REQUIRE(same(w.os.frame({0}), contents.data(), 8));
        CHECK(w.os.zero_in({0}, 8).done == 8); // nothing was left behind
    }
}

TEST_CASE("kernel: moved_but_exists: a frame that was taken before is taken", "[kernel]") {
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_MOVE), "UFFDIO_MOVE");
    world w(protocol::private_move, 8);
    const auto before = w.fill(4, 1);
    REQUIRE(w.os.take_out({4}, 1, {4}).done == 1);
    const auto contents = w.fill(0, 8);
    const kernel_result r = w.os.take_out({0}, 8, {0});
    CHECK(r.status == kernel_status::exists);
    CHECK(r.done == 4);
    CHECK(same(w.os.frame({4}), before.data()));
    CHECK(same(w.page(4), contents.data() + bytes_of(4), 4));
}

TEST_CASE("kernel: moved_but_exists: pages that the kernel migrates leave as told", "[kernel]") {
    UFFDMM_NEEDS(probe().has(UFFD_FEATURE_MOVE), "UFFDIO_MOVE");
    constexpr page_count window = 64;
    constexpr page_count all = 64 * window;
    constexpr page_count rounds = 1000;
    world w(protocol::private_move, all);
    (void)w.fill(0, all);
    for (page_count at = 0; at < all; ++at)
        store(w.page(at), 0);
    std::vector<std::uint64_t> written(all);
    const compaction migrates;
    vcpu cpu(w, [&](const std::stop_token& told) {
        for (std::uint64_t next = 1; !told.stop_requested();) {
            next = next * 6364136223846793005u + 1442695040888963407u;
            const auto at = static_cast<std::uint32_t>(next >> 52);
            store(w.page(at), load(w.page(at)) + 1);
            ++written[at];
        }
    });
    page_count left = 0;
    page_count back = 0;
    for (page_count round = 0; round < rounds; ++round)
        for (page_count base = 0; base < all; base += window) {
            left += w.os.take_out({base}, window, {base}).done;
            for (page_count at = base; at < base + window;) {
                const kernel_result r = w.os.move_in({at}, base + window - at, {at});
                back += r.done;
                at += r.done;
                if (at < base + window) { // it may have come by the move that says so
                    REQUIRE(r.status == kernel_status::exists);
                    ++at;
                    ++back;
                }
            }
        }
    cpu.stop();
    CHECK(left == rounds * all);
    CHECK(back == rounds * all);
    page_count wrong = 0;
    for (std::uint32_t at = 0; at < all; ++at)
        wrong += load(w.page(at)) == written[at] ? 0 : 1;
    CHECK(wrong == 0);
}

} // namespace
