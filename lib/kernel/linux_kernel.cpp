// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/linux_kernel.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kernel/file_data.hpp"
#include "kernel/setup_failure.hpp"
#include "uffdmm/check.hpp"

namespace uffdmm {
namespace {

constexpr std::uint64_t bit_of(unsigned ioctl_number) {
    return std::uint64_t{1} << ioctl_number;
}

/// Asks about the mapping, not about the page: never faults.
bool is_mapped(std::byte* page) {
    unsigned char ignored = 0;
    return ::mincore(page, page_size, &ignored) == 0;
}

} // namespace

// ---- set-up -------------------------------------------------------------------------------------

linux_kernel::linux_kernel(const guest_slice& guest, page_count frames,
                           linux_kernel_options options)
    : guest_(guest), frame_count_(frames),
      self_(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0))),
      arena_(mapping::on_demand(std::size_t{frames} * page_size)) {
    UFFDMM_CHECK(::sysconf(_SC_PAGESIZE) == static_cast<long>(page_size), "pages are 4 KiB");
    traits_.shared = guest.shared();
    open_arena(options);
    open_guest(options);
    if (!traits_.shared && !traits_.move)
        own_memory_ = file_descriptor(::open("/proc/self/mem", O_RDONLY | O_CLOEXEC));
    if (!traits_.shared && !traits_.move && !own_memory_)
        throw setup_error(errc::not_supported, "private memory needs UFFDIO_MOVE (Linux 6.8) or "
                                               "/proc/self/mem");
    if (!traits_.shared && !traits_.move && !pagemap_.available())
        throw setup_error(errc::not_supported,
                          "private memory needs UFFDIO_MOVE (Linux 6.8) or /proc/self/pagemap");
}

/// Not locked even after mlockall(MCL_FUTURE), since moves between locked and unlocked memory are
/// refused. WP mode only: MOVE into the arena works, and a frame that is a hole reads as zeros
/// instead of faulting to nobody.
void linux_kernel::open_arena(const linux_kernel_options& options) {
    const bool available =
        (userfaultfd::available_features(options.ioctl) & UFFD_FEATURE_MOVE) != 0;
    traits_.move = available && options.use_move && !traits_.shared;
    if (!traits_.move)
        return;
    arena_fd_ = userfaultfd(UFFD_FEATURE_MOVE | UFFD_FEATURE_PAGEFAULT_FLAG_WP, 0, options.ioctl);
    arena_fd_.register_range(arena_.data(), arena_.size(), UFFDIO_REGISTER_MODE_WP, 0);
}

void linux_kernel::open_guest(const linux_kernel_options& options) {
    traits_.remove_events = options.remove_events && traits_.move;
    std::uint64_t required = UFFD_FEATURE_PAGEFAULT_FLAG_WP;
    std::uint64_t modes = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP;
    std::uint64_t needed = bit_of(_UFFDIO_COPY) | bit_of(_UFFDIO_ZEROPAGE) | bit_of(_UFFDIO_WAKE) |
                           bit_of(_UFFDIO_WRITEPROTECT);
    if (traits_.move)
        required |= UFFD_FEATURE_MOVE;
    if (traits_.remove_events)
        required |= UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP;
    if (traits_.shared) {
        required |=
            UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_WP_HUGETLBFS_SHMEM;
        modes |= UFFDIO_REGISTER_MODE_MINOR;
        needed |= bit_of(_UFFDIO_CONTINUE);
    }
    constexpr std::uint64_t optional =
        UFFD_FEATURE_THREAD_ID | UFFD_FEATURE_EXACT_ADDRESS | UFFD_FEATURE_POISON;
    guest_fault_fd_ = userfaultfd(required, optional, options.ioctl);
    guest_fault_fd_.register_range(guest_.address, bytes_of(guest_.pages), modes, needed);
    if (traits_.move && options.huge_pages) {
        huge_source_.emplace();
        traits_.huge_page = huge_source::pages;
    }
    traits_.poison = (guest_fault_fd_.features() & UFFD_FEATURE_POISON) != 0;
}

kernel_result linux_kernel::unregister_guest() noexcept {
    return guest_fault_fd_.unregister_range(guest_.address, bytes_of(guest_.pages));
}

std::uint64_t linux_kernel::now_ns() const noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u +
           static_cast<std::uint64_t>(now.tv_nsec);
}

// ---- messages -----------------------------------------------------------------------------------

std::size_t linux_kernel::read(std::span<kernel_message> messages) noexcept {
    std::array<uffd_msg, read_batch> raw;
    std::size_t total = 0;
    while (total < messages.size()) {
        const std::size_t most = std::min(read_batch, messages.size() - total);
        const std::size_t n = guest_fault_fd_.read(raw.data(), most);
        for (std::size_t i = 0; i < n; ++i)
            messages[total + i] = translate(raw[i]);
        total += n;
        if (n < most)
            break;
    }
    return total;
}

kernel_message linux_kernel::translate(const uffd_msg& m) const noexcept {
    using kind = kernel_message::kind;
    kernel_message out;
    out.what = kind::other;
    switch (m.event) { // an enumeration, not a mask (uffd_msg_event_is_an_enum)
    case UFFD_EVENT_PAGEFAULT: {
        const auto flags = m.arg.pagefault.flags;
        const std::uint64_t address = m.arg.pagefault.address & ~std::uint64_t{page_size - 1};
        out.pages = clip(address, address + page_size);
        if (out.pages.count == 0) // the mapping has grown beyond what is ours
            return out;
        out.write = (flags & UFFD_PAGEFAULT_FLAG_WRITE) != 0;
        out.thread = m.arg.pagefault.feat.ptid;
        out.what = (flags & UFFD_PAGEFAULT_FLAG_WP) != 0      ? kind::protect
                   : (flags & UFFD_PAGEFAULT_FLAG_MINOR) != 0 ? kind::minor
                                                              : kind::missing;
        return out;
    }
    case UFFD_EVENT_REMOVE:
    case UFFD_EVENT_UNMAP:
        out.what = m.event == UFFD_EVENT_REMOVE ? kind::remove : kind::unmap;
        out.pages = clip(m.arg.remove.start, m.arg.remove.end);
        return out;
    case UFFD_EVENT_FORK: // brings a descriptor, which would leak
        ::close(static_cast<int>(m.arg.fork.ufd));
        return out;
    default:
        return out;
    }
}

/// The pages that [start, end) touches; count 0 if none are in the slice.
page_run linux_kernel::clip(std::uint64_t start, std::uint64_t end) const noexcept {
    const std::uint64_t base = address({0});
    start = std::max(start, base);
    end = std::min(end, base + bytes_of(guest_.pages));
    if (start >= end)
        return {};
    const auto first = static_cast<std::uint32_t>((start - base) >> page_shift);
    return {{first}, static_cast<page_count>(((end - base + page_size - 1) >> page_shift) - first)};
}

// ---- out of the guest ---------------------------------------------------------------------------

kernel_result linux_kernel::take_out(page_index page, page_count n, frame_index frame) noexcept {
    UFFDMM_DCHECK(page.value + n <= guest_.pages && frame.value + n <= frame_count_,
                  "pages and frames are the shard's");
    return traits_.move ? take_out_by_move(page, n, frame) : take_out_by_copy(page, n, frame);
}

kernel_result linux_kernel::take_out_by_move(page_index page, page_count n,
                                             frame_index frame) noexcept {
    kernel_result r = move_out(page, n, frame);
    if (r.status == kernel_status::missing) // holes are allowed: it is the mapping that is gone
        r.status = kernel_status::gone;
    // The move woke nobody in the guest. Who waits to write to a page that was protected finds it
    // gone when woken (lost_wake).
    if (protects_ && r.done != 0)
        (void)guest_fault_fd_.wake(at(page), r.done);
    return r;
}

/// One move can not span two mappings, and the embedder may have split ours (mprotect, madvise):
/// then the kernel answers EINVAL, and smaller moves find out where.
kernel_result linux_kernel::move_out(page_index page, page_count n, frame_index frame) noexcept {
    const kernel_result whole = move(arena_fd_, this->frame(frame), at(page), n, true);
    const page_count left = n - whole.done;
    if (whole.os_errno != EINVAL || left < 2)
        return whole;
    kernel_result r = move_out(page + whole.done, left / 2, frame + whole.done);
    r.done += whole.done;
    if (r.status != kernel_status::ok)
        return r;
    const page_count before = r.done;
    r = move_out(page + before, n - before, frame + before);
    r.done += before;
    return r;
}

/// Believes EEXIST only where the page is still at `from` (moved_but_exists).
kernel_result linux_kernel::move(userfaultfd& fd, std::byte* to, const std::byte* from,
                                 page_count n, bool holes) const noexcept {
    for (page_count done = 0;;) {
        kernel_result r = fd.move(to + bytes_of(done), from + bytes_of(done), n - done, holes);
        done += r.done;
        const page_count gone =
            r.status == kernel_status::exists
                ? moved_already(from + bytes_of(done), to + bytes_of(done), n - done)
                : 0;
        done += gone;
        if (done == n)
            return {n, kernel_status::ok, 0};
        if (gone == 0) {
            r.done = done;
            return r;
        }
    }
}

/// Pages at the start that are not at `from`, and whose place at `to` is taken.
page_count linux_kernel::moved_already(const std::byte* from, const std::byte* to,
                                       page_count n) const noexcept {
    pagemap::words before;
    pagemap::words after;
    n = std::min(n, pagemap::most_pages);
    if (!pagemap_.read(from, n, before) || !pagemap_.read(to, n, after))
        return 0;
    page_count moved = 0;
    while (moved < n && !pagemap::populated(before[moved]) && pagemap::populated(after[moved]))
        ++moved;
    return moved;
}

/// Pages that were protected before stay so unless they leave: the engine relies on hearing of the
/// first write to a clean page. Extra protection is harmless: it costs a fault.
kernel_result linux_kernel::take_out_by_copy(page_index page, page_count n,
                                             frame_index frame) noexcept {
    protects_ = true;
    const kernel_result frozen = guest_fault_fd_.write_protect(at(page), n, true);
    if (frozen.status != kernel_status::ok)
        return frozen;
    kernel_result r =
        traits_.shared ? copy_out_of_file(page, n, frame) : copy_out_of_memory(page, n, frame);
    if (r.done == 0)
        return r;
    if (const int e = drop(page, r.done); e != 0) {
        r = {0, e == ENOMEM ? kernel_status::no_memory : kernel_status::busy, e};
        return r;
    }
    wake_dropped(page, r.done);
    return r;
}

/// Reads the file rather than an alias mapping of it: no page faults and no page tables on our
/// side, holes are never allocated, and punching has no second mapping to flush.
kernel_result linux_kernel::copy_out_of_file(page_index page, page_count n,
                                             frame_index frame) noexcept {
    const byte_count start = file_offset(page);
    kernel_result r{n, kernel_status::ok, 0};
    const auto copy = [&](byte_count offset, byte_count length) {
        std::byte* to = this->frame(frame) + (offset - start);
        for (byte_count done = 0; done < length;) {
            const ssize_t got =
                ::pread(guest_.fd, to + done, length - done, static_cast<off_t>(offset + done));
            if (got <= 0) { // the file was truncated, or swapped pages do not come back
                const auto whole = static_cast<page_count>((offset + done - start) >> page_shift);
                r = {whole, got == 0 ? kernel_status::gone : kernel_status::busy, errno};
                return false;
            }
            done += static_cast<byte_count>(got);
        }
        return true;
    };
    for_each_data(guest_.fd, start, bytes_of(n), data_search::page_by_page, copy);
    return r;
}

/// The shard thread reads guest memory here, and must not fault: only pages that are present, or
/// swapped by the kernel, are read, nobody but this thread takes pages out, and the engine takes no
/// run across a poisoned page.
kernel_result linux_kernel::copy_out_of_memory(page_index page, page_count n,
                                               frame_index frame) noexcept {
    pagemap::words state;
    page_count at_page = 0;
    while (at_page < n) {
        const page_count count = std::min(n - at_page, pagemap::most_pages);
        if (!pagemap_.read(at(page + at_page), count, state))
            return {at_page, kernel_status::busy, errno};
        for (page_count i = 0; i < count; ++i) {
            if (pagemap::populated(state[i]))
                copy_page(this->frame(frame + (at_page + i)), at(page + (at_page + i)));
        }
        at_page += count;
    }
    return {n, kernel_status::ok, 0};
}

/// Not by memcpy: another thread may discard the page at this moment, and this thread would wait
/// for itself to answer the fault. The kernel reads what is there, or says EIO: then it is a hole.
void linux_kernel::copy_page(std::byte* to, const std::byte* from) const noexcept {
    if (::pread(own_memory_.get(), to, page_size,
                static_cast<off_t>(reinterpret_cast<std::uintptr_t>(from))) !=
        static_cast<ssize_t>(page_size))
        std::memset(to, 0, page_size);
}

int linux_kernel::drop(page_index page, page_count n) noexcept {
    const int rc =
        traits_.shared
            ? ::fallocate(guest_.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                          static_cast<off_t>(file_offset(page)), static_cast<off_t>(bytes_of(n)))
            : ::madvise(at(page), bytes_of(n), MADV_DONTNEED);
    return rc == 0 ? 0 : errno;
}

/// On shmem, write-protection outlives the page as a marker in the page table. Clearing it wakes
/// as well; where an event is unread (EAGAIN) waking alone must do.
void linux_kernel::wake_dropped(page_index page, page_count n) noexcept {
    if (protects_ && guest_fault_fd_.write_protect(at(page), n, false).status == kernel_status::ok)
        return;
    (void)guest_fault_fd_.wake(at(page), n);
}

kernel_result linux_kernel::discard(page_index page, page_count n) noexcept {
    UFFDMM_CHECK(traits_.may_discard(), "the shard thread would wait for its own event "
                                        "(madvise_self_deadlock)");
    if (const int e = drop(page, n); e != 0)
        return {0, e == ENOMEM ? kernel_status::no_memory : kernel_status::unsupported, e};
    wake_dropped(page, n);
    return {n, kernel_status::ok, 0};
}

kernel_result linux_kernel::discard_all(std::span<const page_run> runs) noexcept {
    UFFDMM_CHECK(traits_.may_discard(), "the shard thread would wait for its own event "
                                        "(madvise_self_deadlock)");
    return traits_.shared ? punch_all(runs) : dont_need_all(runs);
}

kernel_result linux_kernel::punch_all(std::span<const page_run> runs) noexcept {
    page_count done = 0;
    for (const page_run& run : runs) {
        const kernel_result r = discard(run.first, run.count);
        done += r.done;
        if (r.status != kernel_status::ok)
            return {done, r.status, r.os_errno};
    }
    return {done, kernel_status::ok, 0};
}

kernel_result linux_kernel::dont_need_all(std::span<const page_run> runs) noexcept {
    std::array<iovec, most_discard_runs> pieces;
    page_index first = runs.front().first;
    page_index end = first;
    for (std::size_t i = 0; i < runs.size(); ++i) {
        pieces[i] = {at(runs[i].first), bytes_of(runs[i].count)};
        first = std::min(first, runs[i].first);
        end = std::max(end, runs[i].end());
    }
    const std::size_t whole = dont_need({pieces.data(), runs.size()});
    kernel_result r{0, kernel_status::ok, 0};
    for (const page_run& run : runs.first(whole))
        r.done += run.count;
    if (whole < runs.size()) { // a mapping inside of the run may have stopped it: see where
        r.status = kernel_status::busy;
        for (page_index page = runs[whole].first; page < runs[whole].end() && drop(page, 1) == 0;
             page = page + 1)
            ++r.done;
        r.os_errno = errno;
    }
    // Who waits for other pages of this stretch is woken in vain, and waits again.
    if (protects_)
        (void)wake(first, end - first);
    return r;
}

// ---- into the guest -----------------------------------------------------------------------------

kernel_result linux_kernel::move_in(page_index page, page_count n, frame_index frame) noexcept {
    if (!traits_.move)
        return {0, kernel_status::unsupported, EOPNOTSUPP};
    kernel_result r = guest_fault_fd_.move(at(page), this->frame(frame), n, false);
    if (r.status == kernel_status::missing && !is_mapped(at(page + r.done)))
        r.status = kernel_status::gone; // not the frame is missing but the place to put it
    return r;
}

kernel_result linux_kernel::copy_in(page_index page, page_count n, const std::byte* contents,
                                    bool protect) noexcept {
    protects_ |= protect;
    kernel_result r = guest_fault_fd_.copy(at(page), contents, n, protect);
    if (traits_.shared && r.os_errno == EFAULT)
        r.status = kernel_status::gone; // the file was truncated
    return r;
}

kernel_result linux_kernel::zero_in(page_index page, page_count n) noexcept {
    return guest_fault_fd_.zeropage(at(page), n);
}

/// With huge pages allowed a fault of the guest makes no page table (a write makes a huge page and
/// throws it away, which costs as much as to clear it). khugepaged leaves blocks with holes alone
/// where a userfaultfd waits for missing pages; blocks without holes it may collapse.
void linux_kernel::allow_huge(bool allow) noexcept {
    (void)::madvise(guest_.address, bytes_of(guest_.pages),
                    allow ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

kernel_result linux_kernel::huge_in(page_index page) noexcept {
    if (!huge_source_ || !huge_source_->fill())
        return {0, kernel_status::unsupported, ENOMEM};
    const kernel_result r =
        move(guest_fault_fd_, at(page), huge_source_->block(), huge_source::pages, false);
    if (r.done != huge_source::pages)
        huge_source_->empty();
    return r;
}

/// Advice about a single mapped page is about a part of the huge page, which the kernel splits to
/// follow it.
bool linux_kernel::split_huge(page_index page, page_count n) noexcept {
    std::array<unsigned char, huge_source::pages> mapped{};
    UFFDMM_DCHECK(n <= mapped.size(), "the run lies in one block");
    if (::mincore(at(page), bytes_of(n), mapped.data()) != 0)
        return false;
    for (page_count i = 0; i < n; ++i)
        if ((mapped[i] & 1) != 0)
            return ::madvise(at(page + i), page_size, MADV_COLD) == 0;
    return false;
}

kernel_result linux_kernel::continue_in(page_index page, page_count n, bool protect) noexcept {
    if (!traits_.shared)
        return {0, kernel_status::unsupported, EOPNOTSUPP};
    protects_ |= protect;
    return guest_fault_fd_.resume(at(page), n, protect);
}

kernel_result linux_kernel::write_protect(page_index page, page_count n, bool protect) noexcept {
    protects_ |= protect;
    return guest_fault_fd_.write_protect(at(page), n, protect);
}

kernel_result linux_kernel::wake(page_index page, page_count n) noexcept {
    return guest_fault_fd_.wake(at(page), n);
}

kernel_result linux_kernel::poison(page_index page, page_count n) noexcept {
    if (!traits_.poison)
        return {0, kernel_status::unsupported, EOPNOTSUPP};
    return guest_fault_fd_.poison(at(page), n);
}

// ---- frames -------------------------------------------------------------------------------------

kernel_result linux_kernel::release_frames(std::span<const frame_run> runs) noexcept {
    page_count released = 0;
    while (!runs.empty()) {
        const auto batch = runs.first(std::min(runs.size(), release_batch_runs));
        if (const int e = release_batch(batch); e != 0)
            return {released, kernel_status::unsupported, e};
        for (const frame_run& run : batch)
            released += run.count;
        runs = runs.subspan(batch.size());
    }
    return {released, kernel_status::ok, 0};
}

/// Frames may be discarded twice. Returns errno.
int linux_kernel::release_batch(std::span<const frame_run> runs) noexcept {
    std::array<iovec, release_batch_runs> pieces;
    for (std::size_t i = 0; i < runs.size(); ++i)
        pieces[i] = {frame(runs[i].first), bytes_of(runs[i].count)};
    return dont_need({pieces.data(), runs.size()}) == runs.size() ? 0 : errno;
}

/// Discards pieces of private memory, in one call and with one TLB flush where the kernel lets a
/// process advise itself (Linux 6.13), else with a call for each. What is not mapped (ENOMEM) needs
/// no discarding. Returns how many pieces are done; errno tells why not all of them.
std::size_t linux_kernel::dont_need(std::span<const iovec> pieces) noexcept {
    for (std::size_t done = 0;;) {
        const advised many = advise_many(pieces.subspan(done));
        done += many.pieces;
        if (done == pieces.size())
            return done;
        const iovec& piece = pieces[done];
        if (::madvise(piece.iov_base, piece.iov_len, MADV_DONTNEED) == 0) {
            if (many.refused) // what it takes from madvise(): it lets no process advise itself
                self_ = {};
        } else if (errno != ENOMEM) {
            return done;
        }
        ++done;
    }
}

/// What the kernel has dealt with of the pieces, in order.
linux_kernel::advised linux_kernel::advise_many(std::span<const iovec> pieces) const noexcept {
    if (!self_ || pieces.size() < 2)
        return {};
    const long bytes =
        ::syscall(SYS_process_madvise, self_.get(), pieces.data(), pieces.size(), MADV_DONTNEED, 0);
    advised result{0, bytes < 0 && errno != ENOMEM};
    for (long left = bytes; result.pieces < pieces.size() && left > 0; ++result.pieces)
        left -= static_cast<long>(pieces[result.pieces].iov_len);
    return result;
}

} // namespace uffdmm
