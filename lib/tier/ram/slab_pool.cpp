// SPDX-License-Identifier: BSD-3-Clause
#include "tier/ram/slab_pool.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "uffdmm/check.hpp"

namespace uffdmm {
namespace {

/// A header with this bit is that of a hole; the rest is the number of the slab's next hole.
constexpr std::uint32_t hole_bit = slab_pool::most_numbers;

/// Objects moved by one call of tidy(): 5 us of the shard thread's time, and up to 20 us to keep up
/// with what was freed since the last one.
constexpr std::uint32_t least_moves = 16;
constexpr std::uint32_t most_moves = 64;
/// Holes are borne up to one slab and this share of a class's objects.
constexpr std::uint32_t holes_borne_one_in = 64;
/// A trim waits for four times as many empty slabs as it keeps, so that there is one TLB flush per
/// mebibyte; free() does not wait for tidy() when a whole batch has come together.
constexpr std::uint32_t most_kept_empty = 4;
constexpr std::uint32_t trim_at_times_kept = 4;
constexpr std::uint32_t urgent_trim = page_returner::most_ranges;

/// Addresses for all of the quota, and for slabs that are in use with less than all their memory:
/// a growing one per class, empty ones.
std::uint32_t slabs_for(byte_count quota) {
    const byte_count slabs =
        quota / slab_bytes + 1 + size_classes::most + byte_count{2} * urgent_trim;
    return static_cast<std::uint32_t>(std::min<byte_count>(slabs, (1u << 22) - 1));
}

} // namespace

static_assert(slab_bytes / size_classes::smallest <= 1u << 10, "an index has ten bits");

slab_pool::slab_pool(ram_quota& quota)
    : quota_(quota), memory_(mapping::on_demand(std::size_t{slabs_for(quota.size())} * slab_bytes)),
      slabs_(slabs_for(quota.size())),
      keep_empty_(static_cast<std::uint32_t>(
          std::clamp<byte_count>(quota.size() / slab_bytes / 64, 1, most_kept_empty))) {
}

slab_pool::~slab_pool() {
    quota_.give_back(resident_bytes());
}

// ---- objects ------------------------------------------------------------------------------------

std::byte* slab_pool::object(object_place place) const noexcept {
    const std::uint32_t s = slab_of(place);
    return memory_.data() + std::size_t{s} * slab_bytes +
           std::size_t{index_of(place)} * shape(slabs_[s]).bytes;
}

std::uint32_t slab_pool::header(object_place place) const noexcept {
    std::uint32_t value = 0;
    std::memcpy(&value, object(place), sizeof value);
    return value;
}

void slab_pool::set_header(object_place place, std::uint32_t value) noexcept {
    std::memcpy(object(place), &value, sizeof value);
}

std::uint32_t slab_pool::number(object_place place) const noexcept {
    if (slab_of(place) >= slabs_.size() || index_of(place) >= slabs_[slab_of(place)].given_out)
        return hole_bit;
    return header(place);
}

object_place slab_pool::allocate(std::uint32_t bytes, std::uint32_t number) noexcept {
    UFFDMM_DCHECK(bytes != 0 && bytes <= page_size && number < most_numbers, "an object fits");
    const std::uint8_t class_number = all_size_classes.fitting(bytes + object_header_bytes);
    object_place place = take(class_number, number);
    if (place == no_place && classes_[class_number].growing == none && start_slab(class_number)) {
        const std::uint32_t s = classes_[class_number].growing;
        place = extend(s, number);
        if (place == no_place) {
            unfile(s);
            retire(s);
        }
    }
    note_fragmentation(class_number);
    return place;
}

/// From the slabs the class has, the fullest first.
object_place slab_pool::take(std::uint8_t class_number, std::uint32_t number) noexcept {
    class_state& c = classes_[class_number];
    for (unsigned q = quarters; q-- != 0;)
        if (c.partial[q] != none)
            return fill_hole(c.partial[q], number);
    if (c.growing == none)
        return no_place;
    if (slabs_[c.growing].first_hole != no_object)
        return fill_hole(c.growing, number);
    return extend(c.growing, number);
}

object_place slab_pool::fill_hole(std::uint32_t s, std::uint32_t number) noexcept {
    slab& in = slabs_[s];
    const object_place place = place_of(s, in.first_hole);
    const bool growing = in.state == slab_state::growing;
    if (!growing)
        unfile(s);
    in.first_hole = static_cast<std::uint16_t>(header(place));
    ++in.live;
    class_state& c = classes_[in.size_class];
    --c.holes;
    ++c.live;
    set_header(place, number);
    if (!growing)
        file(s);
    return place;
}

/// The next object a growing slab has not given out yet; no_place if the quota does not allow it.
object_place slab_pool::extend(std::uint32_t s, std::uint32_t number) noexcept {
    slab& in = slabs_[s];
    if (!touch_next(in))
        return no_place;
    const object_place place = place_of(s, in.given_out);
    ++in.given_out;
    ++in.live;
    ++classes_[in.size_class].live;
    set_header(place, number);
    if (in.given_out == shape(in).per_slab) {
        unfile(s);
        file(s);
    }
    return place;
}

bool slab_pool::touch_next(slab& s) noexcept {
    const page_count pages = pages_of(byte_count{s.given_out + 1u} * shape(s).bytes);
    if (pages <= s.resident)
        return true;
    const page_count more = pages - s.resident;
    if (!quota_.try_take(bytes_of(more)))
        return false;
    s.resident = static_cast<std::uint8_t>(pages);
    resident_pages_ += more;
    return true;
}

void slab_pool::free(object_place place) noexcept {
    const std::uint32_t s = slab_of(place);
    slab& in = slabs_[s];
    UFFDMM_CHECK(index_of(place) < in.given_out && in.live != 0, "an object of the pool");
    class_state& c = classes_[in.size_class];
    const bool listed = in.state == slab_state::partial || in.state == slab_state::full;
    if (listed)
        unfile(s);
    set_header(place, hole_bit | in.first_hole);
    in.first_hole = static_cast<std::uint16_t>(index_of(place));
    --in.live;
    --c.live;
    ++c.holes;
    ++freed_;
    if (in.live == 0) {
        if (!listed)
            unfile(s);
        c.holes -= in.given_out;
        retire(s);
    } else if (listed) {
        file(s);
    }
    note_fragmentation(in.size_class);
    if (empty_count_ >= urgent_trim)
        trim(keep_empty_);
}

// ---- slabs --------------------------------------------------------------------------------------

/// Gives the class a growing slab: an empty one if there is one, since its memory is there already.
bool slab_pool::start_slab(std::uint8_t class_number) noexcept {
    std::uint32_t s = none;
    if (empty_ != none) {
        s = empty_;
        unlink(empty_, s);
        --empty_count_;
    } else if (bare_ != none) {
        s = bare_;
        unlink(bare_, s);
    } else if (slabs_.can_grow()) {
        s = slabs_.add();
    } else {
        return false;
    }
    slab& in = slabs_[s];
    in.size_class = class_number;
    in.state = slab_state::growing;
    classes_[class_number].growing = s;
    return true;
}

/// Puts a slab that has given out all its objects where its class finds it.
void slab_pool::file(std::uint32_t s) noexcept {
    slab& in = slabs_[s];
    const std::uint32_t per_slab = shape(in).per_slab;
    in.state = in.live == per_slab ? slab_state::full : slab_state::partial;
    if (in.state == slab_state::full)
        return;
    in.quarter = static_cast<std::uint8_t>(in.live * quarters / per_slab);
    link(classes_[in.size_class].partial[in.quarter], s);
}

/// Takes a slab from wherever its class has it.
void slab_pool::unfile(std::uint32_t s) noexcept {
    slab& in = slabs_[s];
    class_state& c = classes_[in.size_class];
    if (in.state == slab_state::partial)
        unlink(c.partial[in.quarter], s);
    else if (in.state == slab_state::growing)
        c.growing = none;
    else if (in.state == slab_state::draining)
        c.draining = none;
}

/// A slab that is in no list and has no objects.
void slab_pool::retire(std::uint32_t s) noexcept {
    slab& in = slabs_[s];
    in.given_out = 0;
    in.first_hole = no_object;
    in.state = in.resident == 0 ? slab_state::bare : slab_state::empty;
    link(in.resident == 0 ? bare_ : empty_, s);
    empty_count_ += in.resident != 0;
}

void slab_pool::link(std::uint32_t& head, std::uint32_t s) noexcept {
    slabs_[s].previous = none;
    slabs_[s].next = head;
    if (head != none)
        slabs_[head].previous = s;
    head = s;
}

void slab_pool::unlink(std::uint32_t& head, std::uint32_t s) noexcept {
    const slab& out = slabs_[s];
    if (out.previous == none)
        head = out.next;
    else
        slabs_[out.previous].next = out.next;
    if (out.next != none)
        slabs_[out.next].previous = out.previous;
}

// ---- against fragmentation ----------------------------------------------------------------------

void slab_pool::tidy(move_listener& listener) noexcept {
    std::uint32_t moves = std::min(least_moves + freed_, most_moves);
    freed_ = 0;
    while (fragmented_ != 0 && moves != 0) {
        const auto class_number = static_cast<std::uint8_t>(std::countr_zero(fragmented_));
        // A class that cannot be helped now is looked at again when it changes.
        if (drain(class_number, moves, listener) == drained::impossible)
            fragmented_ &= ~(std::uint64_t{1} << class_number);
    }
    if (empty_count_ >= trim_at_times_kept * keep_empty_)
        trim(keep_empty_);
}

bool slab_pool::squeeze(move_listener& listener) noexcept {
    if (empty_count_ != 0) {
        // Their memory is wanted by a slab that is growing.
        const page_count before = resident_pages_;
        trim_all();
        return resident_pages_ < before;
    }
    const auto classes = static_cast<std::uint8_t>(all_size_classes.count());
    for (std::uint8_t n = 0; n < classes; ++n) {
        std::uint32_t moves = all_size_classes[n].per_slab;
        if (classes_[n].holes >= moves && drain(n, moves, listener) == drained::wholly)
            return true;
    }
    return false;
}

/// Moves objects out of the sparsest slab of a class, into the others; counts `moves` down to 0.
slab_pool::drained slab_pool::drain(std::uint8_t class_number, std::uint32_t& moves,
                                    move_listener& listener) noexcept {
    class_state& c = classes_[class_number];
    if (c.draining == none && !start_draining(c))
        return drained::impossible;
    const std::uint32_t s = c.draining;
    while (c.draining == s && moves != 0) {
        const object_place place = place_of(s, c.drain_next);
        UFFDMM_CHECK(c.drain_next < slabs_[s].given_out, "a drained slab is retired");
        ++c.drain_next;
        if (header(place) >= most_numbers)
            continue;
        --moves;
        if (!move_out(place, listener)) {
            unfile(s);
            file(s);
            return drained::impossible;
        }
    }
    return c.draining == s ? drained::partly : drained::wholly;
}

bool slab_pool::start_draining(class_state& c) noexcept {
    for (std::uint32_t& head : c.partial) {
        if (head == none)
            continue;
        const std::uint32_t s = head;
        unlink(head, s);
        slabs_[s].state = slab_state::draining;
        c.draining = s;
        c.drain_next = 0;
        return true;
    }
    return false;
}

bool slab_pool::move_out(object_place from, move_listener& listener) noexcept {
    const std::uint8_t class_number = slabs_[slab_of(from)].size_class;
    const std::uint32_t moving = header(from);
    const object_place to = take(class_number, moving);
    if (to == no_place)
        return false;
    std::memcpy(data(to), data(from), all_size_classes[class_number].bytes - object_header_bytes);
    if (!listener.moved(moving, from, to)) {
        free(to);
        return false;
    }
    free(from);
    ++moved_objects_;
    return true;
}

void slab_pool::note_fragmentation(std::uint8_t class_number) noexcept {
    const class_state& c = classes_[class_number];
    const std::uint32_t borne =
        all_size_classes[class_number].per_slab + c.live / holes_borne_one_in;
    const std::uint64_t bit = std::uint64_t{1} << class_number;
    if (c.holes > borne || c.draining != none)
        fragmented_ |= bit;
    else
        fragmented_ &= ~bit;
}

/// Gives memory of empty slabs back until `keep` are left.
void slab_pool::trim(std::uint32_t keep) noexcept {
    while (empty_count_ > keep) {
        std::array<iovec, page_returner::most_ranges> ranges;
        const std::size_t n = std::min<std::size_t>(empty_count_ - keep, ranges.size());
        std::uint32_t s = empty_;
        for (std::size_t i = 0; i < n; ++i, s = slabs_[s].next)
            ranges[i] = {memory_.data() + std::size_t{s} * slab_bytes,
                         bytes_of(slabs_[s].resident)};
        if (!returner_.discard({ranges.data(), n})) {
            keep_empty_ = UINT32_MAX / trim_at_times_kept; // for good: the memory is locked
            return;
        }
        for (std::size_t i = 0; i < n; ++i) {
            const std::uint32_t trimmed = empty_;
            slab& in = slabs_[trimmed];
            unlink(empty_, trimmed);
            --empty_count_;
            resident_pages_ -= in.resident;
            quota_.give_back(bytes_of(in.resident));
            in.resident = 0;
            retire(trimmed);
        }
    }
}

// ---- tests --------------------------------------------------------------------------------------

void slab_pool::check_invariants() const {
    std::array<class_state, size_classes::most> found;
    page_count resident = 0;
    std::uint32_t empty = 0;
    for (std::uint32_t s = 0; s < slabs_.size(); ++s) {
        const slab& in = slabs_[s];
        resident += in.resident;
        empty += in.state == slab_state::empty;
        check_slab(s);
        if (in.given_out == 0)
            continue;
        found[in.size_class].live += in.live;
        found[in.size_class].holes += in.given_out - in.live;
    }
    UFFDMM_CHECK(resident == resident_pages_, "resident pages are counted");
    UFFDMM_CHECK(empty == empty_count_, "empty slabs are counted");
    for (std::size_t n = 0; n < all_size_classes.count(); ++n)
        UFFDMM_CHECK(found[n].live == classes_[n].live && found[n].holes == classes_[n].holes,
                     "objects and holes of a class are counted");
}

void slab_pool::check_slab(std::uint32_t s) const {
    const slab& in = slabs_[s];
    const std::uint32_t per_slab = shape(in).per_slab;
    std::uint32_t live = 0;
    for (std::uint32_t i = 0; i < in.given_out; ++i)
        live += header(place_of(s, i)) < most_numbers;
    UFFDMM_CHECK(live == in.live, "live objects are counted");
    std::uint32_t holes = 0;
    for (std::uint16_t i = in.first_hole; i != no_object; ++holes)
        i = static_cast<std::uint16_t>(header(place_of(s, i)));
    UFFDMM_CHECK(holes + in.live == in.given_out, "every hole is listed");
    UFFDMM_CHECK(pages_of(byte_count{in.given_out} * shape(in).bytes) <= in.resident,
                 "objects are in memory that is counted");
    const class_state& c = classes_[in.size_class];
    switch (in.state) {
    case slab_state::bare:
        UFFDMM_CHECK(in.resident == 0 && in.given_out == 0, "a bare slab has nothing");
        break;
    case slab_state::empty:
        UFFDMM_CHECK(in.given_out == 0, "an empty slab has no objects");
        break;
    case slab_state::growing:
        UFFDMM_CHECK(c.growing == s && in.given_out < per_slab, "one slab grows");
        break;
    case slab_state::partial:
        UFFDMM_CHECK(in.given_out == per_slab && live != 0 && live < per_slab &&
                         in.quarter == live * quarters / per_slab,
                     "a partial slab is in the list of its quarter");
        break;
    case slab_state::full:
        UFFDMM_CHECK(live == per_slab, "a full slab has no hole");
        break;
    case slab_state::draining:
        UFFDMM_CHECK(c.draining == s && live != 0, "one slab drains");
        break;
    }
}

} // namespace uffdmm
