// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The program's mappings under one manager. Each lies in an area, which is a region: a large one
/// has an area to itself, others share areas, since every region costs a thread.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include <pthread.h>

#include "run/page_bitmap.hpp"
#include "run/settings.hpp"
#include "run/tally.hpp"
#include "uffdmm/manager.hpp"

namespace preload {

inline constexpr std::size_t page = 4096;

[[nodiscard]] constexpr std::size_t whole_pages(std::size_t bytes) noexcept {
    return (bytes + page - 1) / page * page;
}

/// All calls from any thread. None holds a lock while memory is touched or discarded.
class managed_space {
  public:
    /// Makes the manager and the first area. Throws uffdmm::setup_error.
    explicit managed_space(settings asked);
    ~managed_space() = delete; // threads of the program use it to the very end

    [[nodiscard]] const settings& asked() const noexcept { return asked_; }
    [[nodiscard]] tally& counts() noexcept { return counts_; }
    [[nodiscard]] uffdmm::manager& manager() noexcept { return *manager_; }

    /// Zeros at a multiple of `alignment`; nullptr if there is no room and none can be made.
    [[nodiscard]] void* take(std::size_t bytes, std::size_t alignment) noexcept;
    /// Takes over a mapping that the program put where it is, untouched.
    [[nodiscard]] bool adopt(void* address, std::size_t bytes) noexcept;
    /// The range is the program's no longer: contents are dropped, its addresses free.
    void give_back(void* address, std::size_t bytes) noexcept;
    /// The range reads as zeros.
    void discard(void* address, std::size_t bytes) noexcept;
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

    /// In a child of fork, which has none of the memory.
    void forget() noexcept { forked_.store(true); }
    [[nodiscard]] bool forgotten() const noexcept { return forked_.load(); }

  private:
    static constexpr std::size_t most_areas = 128;

    /// Read without a lock: `end` is 0 while there is none.
    struct area {
        std::atomic<std::uintptr_t> begin{0};
        std::atomic<std::uintptr_t> end{0};
        uffdmm::region* managed = nullptr;
        page_bitmap used;
        bool whole = false; ///< one mapping's alone: ends with it
    };

    [[nodiscard]] const area* find(std::uintptr_t address) const noexcept;
    [[nodiscard]] area* find(std::uintptr_t address) noexcept;
    [[nodiscard]] void* carve(area& from, std::size_t bytes, std::size_t alignment) noexcept;
    [[nodiscard]] void* take_whole(std::size_t bytes, std::size_t alignment) noexcept;
    [[nodiscard]] area* add_area(void* address, std::size_t bytes, bool whole);
    [[nodiscard]] area* make_area(std::size_t bytes, std::size_t alignment, bool whole) noexcept;
    void remove_area(area& gone) noexcept;

    settings asked_;
    tally counts_;
    std::unique_ptr<uffdmm::manager> manager_;
    std::array<area, most_areas> areas_;
    pthread_mutex_t changes_ = PTHREAD_MUTEX_INITIALIZER; ///< the areas and who uses their pages
    std::atomic<bool> mixed_permissions_{false};
    std::atomic<bool> forked_{false};
};

/// nullptr before the program starts, where nothing is managed, and in children of fork.
[[nodiscard]] managed_space* space() noexcept;
void set_space(managed_space* s) noexcept;

} // namespace preload
