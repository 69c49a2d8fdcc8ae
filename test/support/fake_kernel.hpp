// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The kernel of the model tests: guest memory and frames are plain arrays, the clock is set by
/// hand, and any operation can be made to fail. Follows the real one where it hurts: two kinds of
/// wait, no wake on EEXIST, EAGAIN while an event is unread, partial progress, poison, page tables
/// that stand in the way of huge pages, huge pages that are freed as a whole only. Frames that were
/// given back are scribbled over, so that a use after release shows.

#include <cstring>
#include <deque>
#include <functional>
#include <vector>

#include "uffdmm/check.hpp"
#include "uffdmm/engine/kernel.hpp"

namespace uffdmm::test {

/// One simulated CPU of the guest. It blocks on a fault until it is woken.
struct fake_vcpu {
    bool blocked = false;
    bool protect_wait = false; ///< waits for a write-protect fault
    page_index page;
    std::uint64_t faults = 0;
    std::uint32_t thread = 0; ///< its id, if the kernel tells
};

class fake_kernel {
  public:
    enum class access { done, faulted, machine_check };
    enum class op {
        take_out,
        move_in,
        copy_in,
        zero_in,
        huge_in,
        continue_in,
        write_protect,
        poison,
        discard
    };
    /// Asked before every operation: how many pages may succeed, and what then.
    struct injected {
        page_count most = UINT32_MAX;
        kernel_status then = kernel_status::ok;
    };

    fake_kernel(page_count pages, page_count frames, kernel_traits traits)
        : traits_(traits), guest_(pages),
          blocks_(traits.huge_page == 0 ? 0 : pages / traits.huge_page + 1), frame_full_(frames),
          memory_((std::size_t{pages} + frames) * page_size + page_size) {
        const auto raw = reinterpret_cast<std::uintptr_t>(memory_.data());
        base_ = memory_.data() + (page_size - raw % page_size) % page_size;
    }

    // ---- the world outside ----------------------------------------------------------------------

    std::function<injected(op, page_index)> inject;
    std::vector<fake_vcpu> vcpus;
    std::uint64_t clock_ns = 1;
    bool asks_for_write = false; ///< reads look like writes (kvm_async_pf_asks_for_write)
    bool out_of_huge_pages = false;

    /// vcpu touches a page. `faulted`: it is blocked now, and a message is queued.
    access touch(fake_vcpu& cpu, page_index page, bool write) {
        guest_page& g = guest_[page.value];
        if (g.poisoned)
            return access::machine_check;
        if (g.mapped && !(write && g.protected_)) {
            if (write && g.zero_page) // the kernel's own copy-on-write
                g.zero_page = false;
            return access::done;
        }
        if (!huge_allowed_)
            block(page).has_table = true;
        cpu.blocked = true;
        cpu.page = page;
        cpu.protect_wait = g.mapped;
        ++cpu.faults;
        const auto kind = g.mapped                     ? kernel_message::kind::protect
                          : traits_.shared && g.cached ? kernel_message::kind::minor
                                                       : kernel_message::kind::missing;
        faults_.push_back({kind, write || asks_for_write, {page, 1}, cpu.thread});
        return access::faulted;
    }
    /// Contents of a mapped page, as the guest sees them.
    [[nodiscard]] std::byte* contents(page_index page) { return base_ + page.value * page_size; }
    [[nodiscard]] bool mapped(page_index page) const { return guest_[page.value].mapped; }
    [[nodiscard]] bool cached(page_index page) const { return guest_[page.value].cached; }

    /// madvise(DONTNEED) by a thread of the embedder, in its moments: the event is queued, and
    /// every operation answers EAGAIN · the event was read, and the thread is awake: operations
    /// work again · the pages go.
    void begin_discard(page_run run) {
        UFFDMM_CHECK(!discard_pending_, "one discard at a time");
        discard_pending_ = true;
        discard_read_ = false;
        discard_run_ = run;
        events_.push_back({kernel_message::kind::remove, false, run, 0});
    }
    [[nodiscard]] bool discard_was_read() const { return discard_pending_ && discard_read_; }
    void wake_discarder() {
        UFFDMM_CHECK(discard_was_read(), "the event is read first");
        discard_pending_ = false;
    }
    void complete_discard() {
        UFFDMM_CHECK(discard_read_ && !discard_pending_, "the thread is awake first");
        discard_read_ = false;
        drop(discard_run_);
    }
    /// A message as if the kernel had sent it.
    void send(const kernel_message& m) { events_.push_back(m); }
    [[nodiscard]] std::size_t frames_in_use() const {
        std::size_t n = 0;
        for (bool full : frame_full_)
            n += full ? 1 : 0;
        return n;
    }
    [[nodiscard]] std::size_t pages_mapped() const {
        std::size_t n = 0;
        for (const guest_page& g : guest_)
            n += g.mapped ? 1 : 0;
        return n;
    }

    [[nodiscard]] bool huge_allowed() const { return huge_allowed_; }
    /// Mapped by a huge page, not by a page table.
    [[nodiscard]] bool mapped_huge(page_index page) const {
        return traits_.huge_page != 0 && blocks_[page.value / traits_.huge_page].mapped_huge;
    }
    /// Whether the page is part of a huge page, which keeps its memory even when it is gone.
    [[nodiscard]] bool kept(page_index page) const {
        return !blocks_.empty() && blocks_[page.value / traits_.huge_page].one_piece;
    }
    /// Guest pages that memory is spent on.
    [[nodiscard]] std::size_t pages_held() const {
        std::size_t n = 0;
        for (std::uint32_t i = 0; i < guest_.size(); ++i)
            n += guest_[i].mapped || kept({i}) ? 1 : 0;
        return n;
    }

    // ---- the kernel concept ---------------------------------------------------------------------

    [[nodiscard]] kernel_traits traits() const { return traits_; }
    [[nodiscard]] page_count pages() const { return static_cast<page_count>(guest_.size()); }
    [[nodiscard]] page_count frames() const { return static_cast<page_count>(frame_full_.size()); }
    [[nodiscard]] std::uint64_t now_ns() const { return clock_ns; }

    std::size_t read(std::span<kernel_message> out) {
        std::size_t n = 0;
        // Like the real one: faults first, then events (fault_before_remove).
        for (; n < out.size() && !faults_.empty(); ++n) {
            out[n] = faults_.front();
            faults_.pop_front();
        }
        for (; n < out.size() && !events_.empty(); ++n) {
            out[n] = events_.front();
            events_.pop_front();
            discard_read_ |= discard_pending_;
        }
        return n;
    }

    kernel_result take_out(page_index page, page_count n, frame_index frame) {
        return each(op::take_out, page, n, [&](page_count i) {
            guest_page& g = guest_[page.value + i];
            if (g.poisoned)
                return kernel_status::exists;
            const frame_index to = frame + i;
            if (frame_full_[to.value]) // even where there is nothing to move
                return kernel_status::exists;
            if (!g.mapped && !g.cached) {
                std::memset(this->frame(to), 0, page_size); // an empty frame reads as zeros
                return kernel_status::ok;
            }
            std::memcpy(this->frame(to), contents(page + i), page_size);
            frame_full_[to.value] = true;
            split(page + i);
            g = {};
            wake_for(page + i, true); // a write-protect waiter finds the page gone
            return kernel_status::ok;
        });
    }
    kernel_result move_in(page_index page, page_count n, frame_index frame) {
        return each(op::move_in, page, n, [&](page_count i) {
            if (guest_[page.value + i].mapped)
                return kernel_status::exists;
            if (!frame_full_[frame.value + i])
                return kernel_status::missing;
            install(page + i, this->frame(frame + i), false);
            give_back(frame + i);
            return kernel_status::ok;
        });
    }
    kernel_result copy_in(page_index page, page_count n, const std::byte* from, bool protect) {
        return each(op::copy_in, page, n, [&](page_count i) {
            guest_page& g = guest_[page.value + i];
            if (g.mapped || g.poisoned || g.cached)
                return kernel_status::exists;
            install(page + i, from + i * page_size, protect);
            return kernel_status::ok;
        });
    }
    kernel_result zero_in(page_index page, page_count n) {
        return each(op::zero_in, page, n, [&](page_count i) {
            guest_page& g = guest_[page.value + i];
            if (g.mapped || (g.poisoned && !traits_.shared) || g.cached)
                return kernel_status::exists;
            install(page + i, nullptr, false);
            return kernel_status::ok;
        });
    }
    void allow_huge(bool allow) { huge_allowed_ = allow; }
    kernel_result huge_in(page_index page) {
        UFFDMM_CHECK(page.value % traits_.huge_page == 0, "a block begins where it is aligned");
        if (out_of_huge_pages)
            return {0, kernel_status::unsupported, 12};
        if (block(page).mapped_huge)
            return {0, kernel_status::exists, 17};
        const bool whole = !block(page).has_table;
        const kernel_result r = each(op::huge_in, page, traits_.huge_page, [&](page_count i) {
            if (guest_[page.value + i].mapped || guest_[page.value + i].poisoned)
                return kernel_status::exists;
            install(page + i, nullptr, false);
            guest_[page.value + i].zero_page = false; // memory of its own
            return kernel_status::ok;
        });
        if (r.done == traits_.huge_page && whole)
            block(page) = {false, true, true};
        return r;
    }
    bool split_huge(page_index page, page_count n) {
        for (page_count i = 0; i < n; ++i)
            if (guest_[page.value + i].mapped) {
                split(page + i);
                return true;
            }
        return false;
    }
    kernel_result continue_in(page_index page, page_count n, bool protect) {
        return each(op::continue_in, page, n, [&](page_count i) {
            guest_page& g = guest_[page.value + i];
            if (g.mapped)
                return kernel_status::exists;
            if (!g.cached)
                return kernel_status::missing;
            g.mapped = true;
            g.protected_ = protect;
            wake_for(page + i, false);
            return kernel_status::ok;
        });
    }
    kernel_result write_protect(page_index page, page_count n, bool protect) {
        return each(op::write_protect, page, n, [&](page_count i) {
            guest_page& g = guest_[page.value + i];
            g.protected_ = protect && g.mapped;
            if (!protect)
                wake_for(page + i, false);
            return kernel_status::ok;
        });
    }
    kernel_result wake(page_index page, page_count n) {
        for (page_count i = 0; i < n; ++i)
            wake_for(page + i, false);
        return {n, kernel_status::ok, 0};
    }
    kernel_result poison(page_index page, page_count n) {
        return each(op::poison, page, n, [&](page_count i) {
            guest_page& g = guest_[page.value + i];
            if (g.mapped || g.poisoned)
                return kernel_status::exists;
            g.poisoned = true;
            wake_for(page + i, false);
            return kernel_status::ok;
        });
    }
    kernel_result discard(page_index page, page_count n) {
        UFFDMM_CHECK(traits_.may_discard(), "madvise_self_deadlock");
        const kernel_result r =
            each(op::discard, page, n, [](page_count) { return kernel_status::ok; });
        drop({page, r.done});
        for (page_count i = 0; i < r.done; ++i)
            wake_for(page + i, true);
        return r;
    }
    kernel_result discard_all(std::span<const page_run> runs) {
        UFFDMM_CHECK(runs.size() <= most_discard_runs, "discard_all takes so many runs");
        page_count n = 0;
        for (const page_run& run : runs) {
            const kernel_result r = discard(run.first, run.count);
            n += r.done;
            if (r.status != kernel_status::ok)
                return {n, r.status, r.os_errno};
        }
        return {n, kernel_status::ok, 0};
    }
    [[nodiscard]] std::byte* frame(frame_index frame) const {
        return base_ + (guest_.size() + frame.value) * page_size;
    }
    kernel_result release_frames(std::span<const frame_run> runs) {
        page_count n = 0;
        for (const frame_run& run : runs) {
            for (page_count i = 0; i < run.count; ++i)
                give_back(run.first + i);
            n += run.count;
        }
        return {n, kernel_status::ok, 0};
    }
    [[nodiscard]] std::uint64_t address(page_index page) const {
        return std::uint64_t{page.value} << page_shift;
    }

    /// Shared memory: somebody reads the page through another mapping of the file, which fills a
    /// hole with zeros (second_mapping).
    void touch_through_alias(page_index page) {
        UFFDMM_CHECK(traits_.shared, "only shared memory has other mappings");
        guest_page& g = guest_[page.value];
        if (!g.cached)
            std::memset(contents(page), 0, page_size);
        g.cached = true;
    }
    /// Shared memory: madvise(DONTNEED) takes the mapping away and leaves the page cache alone.
    void unmap(page_index page) {
        UFFDMM_CHECK(traits_.shared, "private memory would lose its contents");
        guest_[page.value].mapped = false;
        guest_[page.value].protected_ = false; // marker_loss
    }
    /// Private memory: as if the kernel had dropped the page while it is being discarded.
    void unmap_private(page_index page) { drop({page, 1}); }
    [[nodiscard]] bool is_protected(page_index page) const { return guest_[page.value].protected_; }
    [[nodiscard]] bool poisoned(page_index page) const { return guest_[page.value].poisoned; }

  private:
    struct guest_page {
        bool mapped = false;
        bool cached = false; ///< shared: in the page cache
        bool protected_ = false;
        bool zero_page = false;
        bool poisoned = false;
    };

    struct huge_block {
        bool has_table = false;   ///< single pages are, or were, mapped here
        bool mapped_huge = false; ///< by one entry
        bool one_piece = false;   ///< freed as a whole only
    };
    [[nodiscard]] huge_block& block(page_index page) {
        return blocks_.empty() ? no_block_ : blocks_[page.value / traits_.huge_page];
    }
    void split(page_index page) {
        if (block(page).one_piece)
            block(page) = {true, false, false};
    }
    /// Some pages of the block were unmapped.
    void unmapped_in(page_index page) {
        huge_block& b = block(page);
        if (!b.one_piece)
            return;
        const std::uint32_t first = page.value / traits_.huge_page * traits_.huge_page;
        bool some = false;
        for (std::uint32_t i = first; i < first + traits_.huge_page; ++i)
            some |= guest_[i].mapped;
        b = some ? huge_block{true, false, true} : huge_block{b.has_table, false, false};
    }

    template <typename One>
    kernel_result each(op what, page_index page, page_count n, One&& one) {
        if (discard_pending_)
            return {0, kernel_status::again, 11};
        const injected limit = inject ? inject(what, page) : injected{};
        for (page_count i = 0; i < n; ++i) {
            if (i >= limit.most)
                return {i, limit.then, 0};
            const kernel_status status = one(i);
            if (status != kernel_status::ok)
                return {i, status, 0};
        }
        return {n, kernel_status::ok, 0};
    }

    void install(page_index page, const std::byte* from, bool protect) {
        if (from != nullptr)
            std::memcpy(contents(page), from, page_size);
        else
            std::memset(contents(page), 0, page_size);
        guest_[page.value] = {true, traits_.shared, protect, from == nullptr, false};
        block(page).has_table = true;
        wake_for(page, false);
    }
    void drop(page_run run) {
        for (page_index page = run.first; page < run.end(); page = page + 1) {
            const bool marker = traits_.shared && guest_[page.value].poisoned;
            guest_[page.value] = {};
            guest_[page.value].poisoned = marker; // punching a hole leaves it
            std::memset(contents(page), 0xdb, page_size);
        }
        for (page_index page = run.first; page < run.end(); page = page + 1)
            unmapped_in(page);
    }
    void give_back(frame_index f) {
        frame_full_[f.value] = false;
        // What a hole reads as, except that no test must rely on contents it gave up.
        std::memset(frame(f), 0xa5, page_size);
    }
    void wake_for(page_index page, bool only_protect) {
        for (fake_vcpu& cpu : vcpus)
            if (cpu.blocked && cpu.page == page && (!only_protect || cpu.protect_wait))
                cpu.blocked = false;
    }

    kernel_traits traits_;
    std::vector<guest_page> guest_;
    std::vector<huge_block> blocks_;
    huge_block no_block_;
    bool huge_allowed_ = false;
    std::vector<bool> frame_full_;
    std::vector<std::byte> memory_;
    std::byte* base_ = nullptr;
    std::deque<kernel_message> faults_;
    std::deque<kernel_message> events_;
    bool discard_pending_ = false;
    bool discard_read_ = false;
    page_run discard_run_;
};

static_assert(kernel<fake_kernel>);

} // namespace uffdmm::test
