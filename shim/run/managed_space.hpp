// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The program's mappings under one manager. Each lies in an area, which is a region: a large one
/// has an area to itself, others share areas, since every region costs a thread.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include <pthread.h>

#include "run/absorbed.hpp"
#include "run/backing_file.hpp"
#include "run/given_files.hpp"
#include "run/inside.hpp"
#include "run/known_mappings.hpp"
#include "run/page_bitmap.hpp"
#include "run/settings.hpp"
#include "run/tally.hpp"
#include "uffdmm/control.hpp"
#include "uffdmm/manager.hpp"

namespace preload {

inline constexpr std::size_t page = 4096;

[[nodiscard]] constexpr std::size_t whole_pages(std::size_t bytes) noexcept {
    return (bytes + page - 1) / page * page;
}

/// Memory that looks to the program as if it were a file's, or shared. The file has no contents
/// there; its descriptor is open as long as the memory is managed.
struct stand_in {
    bool shared = false; ///< MADV_DONTNEED keeps the contents
    int fd = -1;         ///< our own; -1: anonymous
    off_t offset = 0;
    file_identity file;
};

/// All calls from any thread. None holds a lock while memory is touched or discarded. The manager
/// is made when there is something to manage: a program may become another process before (fork, as
/// with QEMU's -daemonize), and that one needs threads and descriptors of its own.
class managed_space {
  public:
    explicit managed_space(settings asked)
        : asked_(std::move(asked)), smallest_(smallest_taken(asked_)) {}
    ~managed_space() = delete; // threads of the program use it to the very end

    /// Tries whether a manager and a region can be made. Throws uffdmm::setup_error.
    void try_out() const;

    [[nodiscard]] const settings& asked() const noexcept { return asked_; }
    /// Bytes from which on memory may be taken.
    [[nodiscard]] std::size_t smallest() const noexcept { return smallest_; }
    [[nodiscard]] tally& counts() noexcept { return counts_; }
    /// How often the same is said: what is ignored is counted, and told in sum at the end.
    [[nodiscard]] unsigned times_told() const noexcept { return asked_.verbose ? 8 : 1; }
    [[nodiscard]] absorbed_advice& absorbed() noexcept { return absorbed_; }
    [[nodiscard]] known_mappings& known() noexcept { return known_; }
    [[nodiscard]] given_files& given() noexcept { return given_; }
    [[nodiscard]] bool started() const noexcept {
        return owner_.load(std::memory_order_acquire) != nullptr; // pairs with start()
    }
    /// Zeros as long as nothing is managed.
    [[nodiscard]] uffdmm::stats statistics() const;

    // What a thread may ask for that is `inside`, and touches no managed memory.
    [[nodiscard]] uffdmm::byte_count limit() noexcept;
    [[nodiscard]] uffdmm::result<void> set_limit(uffdmm::byte_count limit);
    [[nodiscard]] uffdmm::result<std::vector<uffdmm::control_region>> regions();
    [[nodiscard]] uffdmm::result<uffdmm::byte_count> evict(std::string_view region);
    /// To be told when the first memory is managed. Set before there are other threads.
    void on_start(void (*call)(managed_space&) noexcept) noexcept { on_start_ = call; }

    /// Zeros at a multiple of `alignment`; nullptr if there is no room and none can be made.
    [[nodiscard]] void* take(std::size_t bytes, std::size_t alignment) noexcept;
    /// Takes over private anonymous memory that the program put where it is.
    [[nodiscard]] bool adopt(void* address, std::size_t bytes, const stand_in& looks = {}) noexcept;
    /// The range is the program's no longer: contents are dropped, its addresses free.
    void give_back(void* address, std::size_t bytes) noexcept;
    /// The range, inside one area, reads as zeros. False, and said, if it cannot.
    bool discard(void* address, std::size_t bytes) noexcept;
    /// madvise(MADV_DONTNEED), of a range of which any part may be managed.
    [[nodiscard]] int drop(void* address, std::size_t bytes) noexcept;
    /// The range of a file reads as zeros where it is managed. False if it is not.
    bool discard_file(const file_identity& file, off_t offset, std::size_t bytes) noexcept;
    [[nodiscard]] bool manages(const file_identity& file) const noexcept;
    /// Whether there are files whose contents are in managed memory.
    [[nodiscard]] bool has_stand_ins() const noexcept { return stand_ins_.load() != 0; }
    /// Whether the file's contents are in managed memory, and not in the file. In a child of fork,
    /// too: the file has none there either.
    [[nodiscard]] bool stands_in_for(const file_identity& file) const noexcept;
    /// The library's own descriptor of a managed file; `otherwise` if it is not managed.
    [[nodiscard]] int descriptor_of(const file_identity& file, int otherwise) const noexcept;
    /// Offset in the file behind the last byte that is managed.
    [[nodiscard]] off_t managed_end(const file_identity& file) const noexcept;
    /// Whether the memory there looks shared.
    [[nodiscard]] bool looks_shared(const void* address) const noexcept;
    /// The region of memory that has an area to itself; nullptr: the range is not such memory.
    [[nodiscard]] uffdmm::region* region_at(const void* address, std::size_t bytes) noexcept;
    [[nodiscard]] std::size_t areas_in_use() const noexcept;
    /// Adds what lies behind a mapping to it. False if that is in use.
    [[nodiscard]] bool extend(void* address, std::size_t before, std::size_t after) noexcept;

    [[nodiscard]] bool contains(const void* address) const noexcept {
        return find(reinterpret_cast<std::uintptr_t>(address)) != nullptr;
    }
    /// Whether a part of the range lies in an area.
    [[nodiscard]] bool touches(const void* address, std::size_t bytes) const noexcept;
    /// Whether all of it lies in one area.
    [[nodiscard]] bool encloses(const void* address, std::size_t bytes) const noexcept;

    /// Permissions differ within areas: they are set back when addresses are given back.
    void permissions_changed() noexcept { mixed_permissions_.store(true); }

    /// How often the process forked, or is a fork: what it shares it has shared with a child.
    [[nodiscard]] unsigned forks() const noexcept { return forks_.load(); }
    /// Around fork: no other thread is changing anything.
    void before_fork() noexcept;
    void after_fork() noexcept;
    /// Whether this is a child of fork, which has none of the memory.
    [[nodiscard]] bool forgotten() const noexcept {
        const auto* const owner = owner_.load(std::memory_order_acquire); // pairs with start()
        return owner != nullptr && *owner == 0;
    }

  private:
    static constexpr std::size_t most_areas = 128;

    /// Read without a lock: `end` is 0 while there is none.
    struct area {
        std::atomic<std::uintptr_t> begin{0};
        std::atomic<std::uintptr_t> end{0};
        uffdmm::region* managed = nullptr;
        page_bitmap used;
        bool whole = false; ///< one mapping's alone: ends with it
        stand_in looks;

        [[nodiscard]] bool is_of(const file_identity& file) const noexcept;
        [[nodiscard]] off_t file_end() const noexcept;
    };

    [[nodiscard]] const area* find(std::uintptr_t address) const noexcept;
    [[nodiscard]] area* find(std::uintptr_t address) noexcept;
    [[nodiscard]] std::uintptr_t next_area(std::uintptr_t after) const noexcept;
    [[nodiscard]] void* carve(area& from, std::size_t bytes, std::size_t alignment) noexcept;
    [[nodiscard]] void* take_whole(std::size_t bytes, std::size_t alignment) noexcept;
    [[nodiscard]] area* add_area(void* address, std::size_t bytes, bool whole,
                                 const stand_in& looks = {});
    void start();
    [[nodiscard]] uffdmm::result<bool> describe(std::size_t which, uffdmm::control_region& out);
    [[nodiscard]] uffdmm::result<uffdmm::byte_count> evict_area(std::size_t which);
    [[nodiscard]] area* make_area(std::size_t bytes, std::size_t alignment, bool whole) noexcept;
    void zero(std::uintptr_t from, std::uintptr_t to) noexcept;
    void remove_area(area& gone) noexcept;

    settings asked_;
    std::size_t smallest_;
    tally counts_;
    absorbed_advice absorbed_;
    std::unique_ptr<uffdmm::manager> manager_; ///< made by start()
    std::array<area, most_areas> areas_;
    pthread_mutex_t changes_ = PTHREAD_MUTEX_INITIALIZER; ///< the areas and who uses their pages
    known_mappings known_;
    void (*on_start_)(managed_space&) noexcept = nullptr;
    given_files given_;
    std::atomic<unsigned> forks_{0};
    std::atomic<unsigned> stand_ins_{0}; ///< areas that look like a shared file
    std::atomic<bool> mixed_permissions_{false};
    /// In a page that every child of this process finds wiped, however it was made. nullptr: not
    /// started.
    std::atomic<const std::uint64_t*> owner_{nullptr};
};

/// nullptr before the program starts, where nothing is managed, and in children of fork.
[[nodiscard]] managed_space* space() noexcept;
void set_space(managed_space* s) noexcept;

/// Counts a call that gets an error. False where there is none, with --list: it goes its usual way.
[[nodiscard]] inline bool refuses(managed_space& s) noexcept {
    s.counts().add(count::refused);
    return !s.asked().list;
}

/// The space for a call of the program's; nullptr: the call is to go its usual way.
[[nodiscard]] inline managed_space* space_in_use() noexcept {
    managed_space* const s = inside ? nullptr : space();
    return s == nullptr || s->forgotten() ? nullptr : s;
}

} // namespace preload
