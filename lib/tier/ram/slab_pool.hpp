// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The compact allocator of the compressed RAM tier: objects of any size up to a page, in slabs of
/// one size class each, with little waste and nothing kept that is not needed.
///
///     never used ─► growing ──all objects given out once──► full ◄─► partial (by quarter full)
///                      │                                               │           │
///                      │ last object freed                             │      draining: objects
///                      ▼                                               ▼      move to other slabs
///     bare ◄─trim─── empty (memory kept, any class may take it) ◄──────┴───────────┘
///
/// New objects go to the fullest slab that has a hole, so that sparse slabs become empty by
/// themselves. Where they do not, tidy() moves the objects of the sparsest one: whoever stores an
/// object names it by a number, and is told where that number went. Memory of a slab is counted
/// from its first page to the last one touched; a growing slab has touched only what it gave out.
///
/// Owner: one thread.

#include <array>
#include <cstddef>
#include <cstdint>

#include "tier/ram/page_returner.hpp"
#include "tier/ram/ram_quota.hpp"
#include "tier/ram/size_classes.hpp"
#include "uffdmm/detail/growing_table.hpp"
#include "uffdmm/detail/mapping.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

/// Where an object is: its slab and its number there.
struct object_place {
    std::uint32_t value = UINT32_MAX;
    friend bool operator==(object_place, object_place) = default;
};
inline constexpr object_place no_place{};

/// Knows where the objects are.
class move_listener {
  public:
    /// The object was copied from `from` to `to`. False if `number` is not at `from` at all,
    /// because the memory was damaged: then nothing moves.
    [[nodiscard]] virtual bool moved(std::uint32_t number, object_place from,
                                     object_place to) noexcept = 0;

  protected:
    ~move_listener() = default;
};

class slab_pool {
  public:
    /// Reserves addresses for all of the quota. Throws setup_error (no_memory).
    explicit slab_pool(ram_quota& quota);
    ~slab_pool();
    slab_pool(const slab_pool&) = delete;
    slab_pool& operator=(const slab_pool&) = delete;

    static constexpr std::uint32_t most_numbers = 0x8000'0000u;

    /// Room for `bytes` (1 .. page_size) under `number` (below most_numbers); no_place if the quota
    /// does not allow it.
    [[nodiscard]] object_place allocate(std::uint32_t bytes, std::uint32_t number) noexcept;
    /// The caller knows that the object is there: its header may be damaged.
    void free(object_place place) noexcept;

    [[nodiscard]] std::byte* data(object_place place) noexcept {
        return object(place) + object_header_bytes;
    }
    /// The number an object was stored under; never that of another object if it is gone.
    [[nodiscard]] std::uint32_t number(object_place place) const noexcept;

    /// A little work against fragmentation: moves a few objects out of sparse slabs, gives memory
    /// of empty slabs back. Call now and then.
    void tidy(move_listener& listener) noexcept;
    /// Makes one slab empty, however little fragmented the pool is; false if that is impossible.
    [[nodiscard]] bool squeeze(move_listener& listener) noexcept;
    /// Gives back the memory of all empty slabs.
    void trim_all() noexcept { trim(0); }

    /// Memory of the slabs: what is resident, to the page.
    [[nodiscard]] byte_count resident_bytes() const noexcept { return bytes_of(resident_pages_); }
    /// Memory of the bookkeeping.
    [[nodiscard]] byte_count metadata_bytes() const noexcept {
        return sizeof(*this) + slabs_.memory_bytes();
    }
    [[nodiscard]] std::uint64_t moved_objects() const noexcept { return moved_objects_; }
    [[nodiscard]] const std::byte* addresses() const noexcept { return memory_.data(); }
    [[nodiscard]] std::size_t address_bytes() const noexcept { return memory_.size(); }

    /// Tests: aborts if lists, counts and headers contradict each other.
    void check_invariants() const;

  private:
    static constexpr std::uint32_t none = UINT32_MAX;
    static constexpr std::uint16_t no_object = UINT16_MAX;
    static constexpr unsigned index_bits = 10;
    static constexpr unsigned quarters = 4;

    enum class slab_state : std::uint8_t { bare, empty, growing, partial, full, draining };

    struct slab {
        std::uint32_t next = none; ///< list of its state: bare, empty, or a quarter of a class
        std::uint32_t previous = none;
        std::uint16_t live = 0;
        std::uint16_t given_out = 0; ///< objects below this have a header
        std::uint16_t first_hole = no_object;
        std::uint8_t size_class = 0;
        std::uint8_t resident = 0; ///< pages, from the first on
        slab_state state = slab_state::bare;
        std::uint8_t quarter = 0; ///< state partial
    };
    struct class_state {
        std::array<std::uint32_t, quarters> partial{none, none, none, none};
        std::uint32_t growing = none;
        std::uint32_t draining = none;
        std::uint32_t drain_next = 0; ///< object of the draining slab to look at next
        std::uint32_t live = 0;       ///< objects
        std::uint32_t holes = 0;      ///< objects given out once and free now
    };

    [[nodiscard]] static const size_class& shape(const slab& s) {
        return all_size_classes[s.size_class];
    }
    [[nodiscard]] static std::uint32_t slab_of(object_place place) {
        return place.value >> index_bits;
    }
    [[nodiscard]] static std::uint32_t index_of(object_place place) {
        return place.value & ((1u << index_bits) - 1);
    }
    [[nodiscard]] static object_place place_of(std::uint32_t slab, std::uint32_t index) {
        return {slab << index_bits | index};
    }
    [[nodiscard]] std::byte* object(object_place place) const noexcept;
    [[nodiscard]] std::uint32_t header(object_place place) const noexcept;
    void set_header(object_place place, std::uint32_t value) noexcept;

    [[nodiscard]] object_place take(std::uint8_t class_number, std::uint32_t number) noexcept;
    [[nodiscard]] object_place fill_hole(std::uint32_t s, std::uint32_t number) noexcept;
    [[nodiscard]] object_place extend(std::uint32_t s, std::uint32_t number) noexcept;
    [[nodiscard]] bool touch_next(slab& s) noexcept;
    [[nodiscard]] bool start_slab(std::uint8_t class_number) noexcept;
    void file(std::uint32_t s) noexcept;
    void unfile(std::uint32_t s) noexcept;
    void retire(std::uint32_t s) noexcept;

    enum class drained : std::uint8_t { impossible, partly, wholly };
    drained drain(std::uint8_t class_number, std::uint32_t& moves,
                  move_listener& listener) noexcept;
    [[nodiscard]] bool start_draining(class_state& c) noexcept;
    [[nodiscard]] bool move_out(object_place from, move_listener& listener) noexcept;
    void note_fragmentation(std::uint8_t class_number) noexcept;
    void trim(std::uint32_t keep) noexcept;

    void link(std::uint32_t& head, std::uint32_t s) noexcept;
    void unlink(std::uint32_t& head, std::uint32_t s) noexcept;
    void check_slab(std::uint32_t s) const;

    ram_quota& quota_;
    mapping memory_;
    page_returner returner_;
    growing_table<slab> slabs_;
    std::uint32_t bare_ = none;  ///< list: used before, no memory now
    std::uint32_t empty_ = none; ///< list: memory, no objects
    std::uint32_t empty_count_ = 0;
    std::uint32_t keep_empty_; ///< slabs kept by a trim, for what is stored next
    page_count resident_pages_ = 0;
    std::uint64_t fragmented_ = 0; ///< a bit per class that tidy() should work on
    std::uint32_t freed_ = 0;      ///< objects, since the last tidy()
    std::uint64_t moved_objects_ = 0;
    std::array<class_state, size_classes::most> classes_;
};

} // namespace uffdmm
