// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The kernel concept on userfaultfd. One object serves one shard; see engine/kernel.hpp for what
/// each operation promises.
///
/// Taking pages out, by backing:
///   private, MOVE   one UFFDIO_MOVE into the frames, atomic against guest writes
///   private, copy   (no UFFDIO_MOVE: before Linux 6.8) write-protect, copy what is present,
///                   MADV_DONTNEED. Not with remove_events: the madvise would wait for this thread
///   shared          write-protect, read what is in the file, punch it out
/// In the last two a guest write between protecting and discarding waits, and finds the page gone
/// when it is woken (evict_write_race, lost_wake).
///
/// Destroying this object, or unregister_guest(), ends fault handling: pages that are not in the
/// guest then read as zeros (handler_dies). So everything is brought in before, or is unwanted.
/// guest_memory must outlive this object.

#include <cstdint>
#include <optional>
#include <span>

#include <sys/uio.h>

#include "kernel/guest_memory.hpp"
#include "kernel/huge_source.hpp"
#include "kernel/pagemap.hpp"
#include "kernel/userfaultfd.hpp"
#include "uffdmm/detail/mapping.hpp"
#include "uffdmm/engine/kernel.hpp"

namespace uffdmm {

struct linux_kernel_options {
    bool remove_events = false; ///< report madvise of the range; private memory with MOVE only
    bool use_move = true;       ///< false: as if this kernel had no UFFDIO_MOVE
    bool huge_pages = false;    ///< install some; private memory with MOVE only
    ioctl_function ioctl = &system_ioctl;
};

class linux_kernel {
  public:
    /// Registers the slice. Throws setup_error; nothing stays behind.
    linux_kernel(const guest_slice& guest, page_count frames, linux_kernel_options options = {});
    linux_kernel(const linux_kernel&) = delete;
    linux_kernel& operator=(const linux_kernel&) = delete;
    /// Unregisters the slice. Closing the descriptor alone would not do where a forked child still
    /// has it.
    ~linux_kernel() { (void)unregister_guest(); }

    [[nodiscard]] kernel_traits traits() const noexcept { return traits_; }
    [[nodiscard]] page_count pages() const noexcept { return guest_.pages; }
    [[nodiscard]] page_count frames() const noexcept { return frame_count_; }
    [[nodiscard]] std::uint64_t now_ns() const noexcept;

    std::size_t read(std::span<kernel_message> messages) noexcept;
    kernel_result take_out(page_index page, page_count n, frame_index frame) noexcept;
    kernel_result move_in(page_index page, page_count n, frame_index frame) noexcept;
    kernel_result copy_in(page_index page, page_count n, const std::byte* contents,
                          bool protect) noexcept;
    kernel_result zero_in(page_index page, page_count n) noexcept;
    void allow_huge(bool allow) noexcept;
    kernel_result huge_in(page_index page) noexcept;
    bool split_huge(page_index page, page_count n) noexcept;
    kernel_result continue_in(page_index page, page_count n, bool protect) noexcept;
    kernel_result write_protect(page_index page, page_count n, bool protect) noexcept;
    kernel_result wake(page_index page, page_count n) noexcept;
    kernel_result poison(page_index page, page_count n) noexcept;
    kernel_result discard(page_index page, page_count n) noexcept;
    kernel_result discard_all(std::span<const page_run> runs) noexcept;

    [[nodiscard]] std::byte* frame(frame_index frame) const noexcept {
        return arena_.data() + std::size_t{frame.value} * page_size;
    }
    kernel_result release_frames(std::span<const frame_run> runs) noexcept;
    [[nodiscard]] std::uint64_t address(page_index page) const noexcept {
        return reinterpret_cast<std::uintptr_t>(at(page));
    }

    /// Readable when read() has something to return. For epoll.
    [[nodiscard]] int events_fd() const noexcept { return guest_fault_fd_.fd(); }
    /// Ends fault handling, waking whoever waits. Bring everything in first (see above).
    kernel_result unregister_guest() noexcept;

  private:
    static constexpr std::size_t read_batch = 64;
    static constexpr std::size_t release_batch_runs = 64;

    [[nodiscard]] std::byte* at(page_index page) const noexcept {
        return guest_.address + std::size_t{page.value} * page_size;
    }
    [[nodiscard]] byte_count file_offset(page_index page) const noexcept {
        return guest_.fd_offset + bytes_of(page.value);
    }
    void open_guest(const linux_kernel_options& options);
    void open_arena(const linux_kernel_options& options);

    [[nodiscard]] kernel_message translate(const uffd_msg& m) const noexcept;
    [[nodiscard]] page_run clip(std::uint64_t start, std::uint64_t end) const noexcept;

    kernel_result take_out_by_move(page_index page, page_count n, frame_index frame) noexcept;
    kernel_result take_out_by_copy(page_index page, page_count n, frame_index frame) noexcept;
    kernel_result move_out(page_index page, page_count n, frame_index frame) noexcept;
    kernel_result move(userfaultfd& fd, std::byte* to, const std::byte* from, page_count n,
                       bool holes) const noexcept;
    [[nodiscard]] page_count moved_already(const std::byte* from, const std::byte* to,
                                           page_count n) const noexcept;
    kernel_result copy_out_of_file(page_index page, page_count n, frame_index frame) noexcept;
    kernel_result copy_out_of_memory(page_index page, page_count n, frame_index frame) noexcept;
    void copy_page(std::byte* to, const std::byte* from) const noexcept;
    /// Makes the pages absent. Wakes nobody.
    [[nodiscard]] int drop(page_index page, page_count n) noexcept;
    /// Wakes who waits for pages that were just dropped, for whatever reason.
    void wake_dropped(page_index page, page_count n) noexcept;
    int release_batch(std::span<const frame_run> runs) noexcept;
    kernel_result punch_all(std::span<const page_run> runs) noexcept;
    kernel_result dont_need_all(std::span<const page_run> runs) noexcept;
    [[nodiscard]] std::size_t dont_need(std::span<const iovec> pieces) noexcept;
    struct advised {
        std::size_t pieces = 0;
        bool refused = false;
    };
    [[nodiscard]] advised advise_many(std::span<const iovec> pieces) const noexcept;

    guest_slice guest_;
    page_count frame_count_;
    kernel_traits traits_;
    bool protects_ = false; ///< some page may be, or have been, write-protected
    pagemap pagemap_;
    file_descriptor own_memory_; ///< /proc/self/mem, where pages are taken out by copying
    file_descriptor self_;       ///< pidfd, for process_madvise; closed when that does not work
    mapping arena_;
    std::optional<huge_source> huge_source_;
    userfaultfd arena_fd_;
    userfaultfd guest_fault_fd_; ///< last, so that it is closed first
};

static_assert(kernel<linux_kernel>);

} // namespace uffdmm
