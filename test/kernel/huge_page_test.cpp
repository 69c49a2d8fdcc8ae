// SPDX-License-Identifier: BSD-3-Clause
/// Huge pages: installed by one move, and what happens to parts of them.

#include <fstream>
#include <optional>
#include <string>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "kernel/huge_source.hpp"
#include "kernel/mapped_area.hpp"
#include "kernel/pagemap.hpp"
#include "support/forgetful_ioctl.hpp"
#include "support/kernel_fixture.hpp"

namespace {

using namespace uffdmm;
using namespace uffdmm::test;
using kind = kernel_message::kind;

constexpr page_count huge = huge_source::pages;

bool has_huge_pages() {
    std::string enabled;
    std::getline(std::ifstream("/sys/kernel/mm/transparent_hugepage/enabled"), enabled);
    return probe().has(UFFD_FEATURE_MOVE) && !enabled.empty() &&
           enabled.find("[never]") == std::string::npos;
}

/// Private memory in which two blocks can be huge.
struct huge_world : world {
    explicit huge_world(bool remove_events = false, ioctl_function ioctl = &system_ioctl)
        : world(protocol::private_move, 3 * huge,
                {.remove_events = remove_events, .huge_pages = true, .ioctl = ioctl}) {
        REQUIRE(os.traits().huge_page == huge);
        os.allow_huge(true);
        const auto start = static_cast<page_count>(os.address({0}) >> page_shift);
        first = {(huge - start % huge) % huge};
        second = first + huge;
    }
    page_index first;
    page_index second;

    [[nodiscard]] std::byte* page(page_index at) const { return world::page(at.value); }
    void install(page_index block) {
        const kernel_result r = os.huge_in(block);
        REQUIRE(r.status == kernel_status::ok);
        REQUIRE(r.done == huge);
    }
    /// Something else in every page of the block, so that none can be taken for another.
    void stamp(page_index block) const {
        for (page_count i = 0; i < huge; ++i)
            store(page(block + i) + 8, i + 1);
    }
    [[nodiscard]] bool is_stamped(page_index at, page_index block) const {
        return load(page(at) + 8) == at - block + 1;
    }
};

/// What the kernel says of the page's memory (KPF_...), which only the privileged are told.
std::optional<std::uint64_t> flags_of(const std::byte* page) {
    pagemap::words word;
    std::uint64_t flags = 0;
    if (!pagemap().read(page, 1, word))
        return std::nullopt;
    const std::uint64_t frame = word[0] & ((std::uint64_t{1} << 55) - 1);
    const file_descriptor file(::open("/proc/kpageflags", O_RDONLY | O_CLOEXEC));
    const auto at = static_cast<off_t>(frame * sizeof flags);
    if (frame == 0 || ::pread(file.get(), &flags, sizeof flags, at) != ssize_t{sizeof flags})
        return std::nullopt;
    return flags;
}
bool in_one_piece(const std::byte* page) {
    constexpr unsigned kpf_thp = 22;
    return (flags_of(page).value_or(0) >> kpf_thp & 1) != 0;
}

/// By another thread, as the embedder does it.
void discard(huge_world& w, page_run run) {
    int status = -1; // Catch2 has assertions for one thread only
    vcpu other(w,
               [&] { status = ::madvise(w.page(run.first), bytes_of(run.count), MADV_DONTNEED); });
    other.join();
    REQUIRE(status == 0);
}

} // namespace

TEST_CASE("kernel: moved_but_exists: a huge page that is there is there", "[kernel]") {
    UFFDMM_NEEDS(has_huge_pages(), "UFFDIO_MOVE and transparent huge pages");
    moved_in_silence = huge;
    huge_world w(false, &ioctl_that_forgets);
    w.install(w.first);
    w.stamp(w.first);
    const kernel_result again = w.os.huge_in(w.first);
    CHECK(again.status == kernel_status::exists);
    CHECK(again.done == 0);
    for (page_count i = 0; i < huge; ++i)
        REQUIRE(w.is_stamped(w.first + i, w.first));
}

TEST_CASE("kernel: a huge page comes in whole, reads as zeros and wakes", "[kernel]") {
    UFFDMM_NEEDS(has_huge_pages(), "UFFDIO_MOVE and transparent huge pages");
    huge_world w;
    vcpu cpu(w, [&] { store(w.page(w.first + 7) + 16, 5); });
    const kernel_message m = w.next_message();
    REQUIRE(m.what == kind::missing);
    REQUIRE(m.pages == page_run{w.first + 7, 1});
    w.install(w.first);
    cpu.join();
    REQUIRE(load(w.page(w.first + 7) + 16) == 5);
    for (page_count i = 0; i < huge; ++i)
        REQUIRE(load(w.page(w.first + i)) == 0);
    REQUIRE_FALSE(w.has_message());
    if (flags_of(w.page(w.first)))
        REQUIRE(in_one_piece(w.page(w.first + 100)));
    // The next one is a page of its own.
    w.stamp(w.first);
    w.install(w.second);
    REQUIRE(load(w.page(w.second) + 8) == 0);
    REQUIRE(w.is_stamped(w.first + 300, w.first));
}

TEST_CASE("kernel: parts of a huge page can be taken out and brought back", "[kernel]") {
    UFFDMM_NEEDS(has_huge_pages(), "UFFDIO_MOVE and transparent huge pages");
    huge_world w;
    w.install(w.first);
    w.stamp(w.first);
    const page_index window = w.first + 64;
    const kernel_result out = w.os.take_out(window, 64, {0});
    REQUIRE(out.status == kernel_status::ok);
    REQUIRE(out.done == 64);
    for (page_count i = 0; i < 64; ++i)
        REQUIRE(load(w.os.frame({i}) + 8) == 64 + i + 1);
    REQUIRE(w.is_stamped(w.first + 63, w.first));
    REQUIRE(w.is_stamped(w.first + 128, w.first));
    REQUIRE_FALSE(w.has_message());
    vcpu cpu(w, [&] { store(w.page(window) + 16, 9); });
    REQUIRE(w.next_message().pages == page_run{window, 1});
    REQUIRE(w.os.move_in(window, 64, {0}).done == 64);
    REQUIRE(w.os.wake(window, 1).done == 1);
    cpu.join();
    for (page_count i = 0; i < huge; ++i)
        REQUIRE(w.is_stamped(w.first + i, w.first));
}

TEST_CASE("kernel: partial_huge_page: what is discarded of a huge page is freed once it is split",
          "[kernel]") {
    UFFDMM_NEEDS(has_huge_pages(), "UFFDIO_MOVE and transparent huge pages");
    for (const bool before : {true, false}) {
        huge_world w;
        w.install(w.first);
        w.stamp(w.first);
        UFFDMM_NEEDS(flags_of(w.page(w.first)), "a look at /proc/kpageflags");
        const page_run gone{w.first + 100, 300};
        if (before)
            REQUIRE(w.os.split_huge(w.first, 100));
        discard(w, gone);
        if (!before) {
            REQUIRE(in_one_piece(w.page(w.first))); // the kernel still has all of it
            REQUIRE(w.os.split_huge(gone.end(), huge - 400));
        }
        REQUIRE_FALSE(in_one_piece(w.page(w.first)));
        REQUIRE_FALSE(in_one_piece(w.page(gone.end())));
        for (page_count i = 0; i < huge; ++i)
            if (!gone.contains(w.first + i))
                REQUIRE(w.is_stamped(w.first + i, w.first));
    }
}

TEST_CASE("kernel: where nothing is mapped there is nothing to split", "[kernel]") {
    UFFDMM_NEEDS(has_huge_pages(), "UFFDIO_MOVE and transparent huge pages");
    huge_world w;
    REQUIRE_FALSE(w.os.split_huge(w.first, huge));
    w.fill(w.first.value + 9, 1);
    REQUIRE_FALSE(w.os.split_huge(w.first, 9));
    REQUIRE(w.os.split_huge(w.first, 10));
    REQUIRE_FALSE(w.has_message());
}

TEST_CASE("kernel: a page of a huge page can be protected alone", "[kernel]") {
    UFFDMM_NEEDS(has_huge_pages(), "UFFDIO_MOVE and transparent huge pages");
    huge_world w;
    w.install(w.first);
    REQUIRE(w.os.write_protect(w.first + 3, 1, true).status == kernel_status::ok);
    store(w.page(w.first + 2), 1);
    store(w.page(w.first + 4), 1);
    REQUIRE_FALSE(w.has_message());
    vcpu cpu(w, [&] { store(w.page(w.first + 3), 1); });
    REQUIRE(w.next_message().what == kind::protect);
    REQUIRE(w.os.write_protect(w.first + 3, 1, false).status == kernel_status::ok);
    cpu.join();
    REQUIRE(load(w.page(w.first + 3)) == 1);
}

TEST_CASE("kernel: a mapped page in the block stops a huge page, and stays", "[kernel]") {
    UFFDMM_NEEDS(has_huge_pages(), "UFFDIO_MOVE and transparent huge pages");
    huge_world w;
    const auto contents = w.fill(w.first.value + 20, 1);
    const kernel_result r = w.os.huge_in(w.first);
    REQUIRE(r.status == kernel_status::exists);
    REQUIRE(r.done == 20);
    REQUIRE(load(w.page(w.first + 19)) == 0);
    REQUIRE(same(w.page(w.first + 20), contents.data()));
    w.install(w.second); // nothing of the last attempt is left in the way
    REQUIRE(w.os.huge_in(w.second).status == kernel_status::exists);
    w.stamp(w.second);
    REQUIRE(w.is_stamped(w.second + 511, w.second));
}

TEST_CASE("kernel: remove_pending_makes_eagain: no huge page while an event is unread",
          "[kernel]") {
    UFFDMM_NEEDS(has_huge_pages(), "UFFDIO_MOVE and transparent huge pages");
    huge_world w(true);
    w.install(w.first);
    int dropped = -1; // Catch2 has assertions for one thread only
    vcpu cpu(w, [&] { dropped = ::madvise(w.page(w.first), bytes_of(huge), MADV_DONTNEED); });
    pollfd p{w.os.events_fd(), POLLIN, 0};
    REQUIRE(::poll(&p, 1, world::patience_ms) == 1);
    const kernel_result r = w.os.huge_in(w.second);
    REQUIRE(r.status == kernel_status::again);
    REQUIRE(r.done == 0);
    REQUIRE(w.next_message().what == kind::remove);
    cpu.join();
    REQUIRE(dropped == 0);
    w.install(w.second);
    w.install(w.first);
    REQUIRE(load(w.page(w.first)) == 0);
}

TEST_CASE("kernel: a process without huge pages is told so", "[kernel]") {
    UFFDMM_NEEDS(has_huge_pages(), "UFFDIO_MOVE and transparent huge pages");
    huge_world w;
    UFFDMM_NEEDS(::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0, "PR_SET_THP_DISABLE");
    const kernel_result r = w.os.huge_in(w.first);
    REQUIRE(::prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0) == 0);
    REQUIRE(r.status == kernel_status::unsupported);
    REQUIRE(r.done == 0);
    w.install(w.first);
}

TEST_CASE("kernel: shared memory and kernels without MOVE have no huge pages", "[kernel]") {
    for (const protocol p : protocols()) {
        world w(p, 64, {.huge_pages = true});
        REQUIRE((w.os.traits().huge_page != 0) == (p == protocol::private_move));
    }
}
