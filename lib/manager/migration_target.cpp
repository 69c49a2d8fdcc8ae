// SPDX-License-Identifier: BSD-3-Clause
#include "manager/migration_target.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace uffdmm {
namespace {

constexpr byte_count window_bytes = bytes_of(arrival_job::most);

constexpr std::uint64_t mask_of(page_count first, page_count count) {
    const std::uint64_t ones = count == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
    return ones << first;
}

} // namespace

region_target::region_target(std::shared_ptr<region_link> link)
    : link_(std::move(link)), contents_(mapping::anonymous(2 * window_bytes)) {
    places_[0].contents = contents_.data();
    places_[1].contents = contents_.data() + window_bytes;
    link_->target_begins();
}

region_target::~region_target() {
    for (shipment& sent : places_)
        if (sent.arriving)
            (void)sent.arriving->wait(); // shards end after what was posted to them
    link_->target_ended();
}

result<managed_region*> region_target::region() {
    managed_region* region = link_->region();
    if (region == nullptr)
        return error{errc::wrong_state, 0, "migration_target: its region is removed"};
    return region;
}

result<managed_region*> region_target::checked(byte_count offset, byte_count length) {
    const auto region = this->region();
    if (region)
        if (const auto parts = region.value()->parts_of(offset, length); !parts)
            return parts.failure();
    return region;
}

// ---- collecting ---------------------------------------------------------------------------------

/// Index in the window of the page at `offset`, after sending another window.
result<page_count> region_target::make_place(byte_count offset) {
    const byte_count base = offset & ~(window_bytes - 1);
    if (filling().some.pages != 0 && filling().some.offset != base) {
        const auto region = this->region();
        if (!region)
            return region.failure();
        if (const result<void> sent = send(*region.value()); !sent)
            return sent.failure();
    }
    window& collected = filling().some;
    collected.offset = base;
    const page_count index = pages_of(offset - base);
    const std::uint64_t bit = mask_of(index, 1);
    collected.pages |= bit;
    collected.zeros &= ~bit;
    collected.located &= ~bit;
    collected.cold &= ~bit;
    return index;
}

result<void> region_target::put(byte_count offset, std::span<const std::byte> contents,
                                warmth how) {
    if (const auto region = checked(offset, contents.size()); !region)
        return region.failure();
    for (; !contents.empty(); contents = contents.subspan(page_size), offset += page_size) {
        const auto index = make_place(offset);
        if (!index)
            return index.failure();
        std::memcpy(filling().contents + bytes_of(index.value()), contents.data(), page_size);
        if (how == warmth::cold)
            filling().some.cold |= mask_of(index.value(), 1);
    }
    return {};
}

result<void> region_target::adopt(byte_count offset, const location& place) {
    if (const auto region = checked(offset, page_size); !region)
        return region.failure();
    const auto index = make_place(offset);
    if (!index)
        return index.failure();
    filling().locations[index.value()] = place;
    filling().some.located |= mask_of(index.value(), 1);
    return {};
}

result<void> region_target::zero(byte_count offset, byte_count length) {
    if (const auto region = checked(offset, length); !region)
        return region.failure();
    for (const byte_count end = offset + length; offset < end; offset += page_size) {
        const auto index = make_place(offset);
        if (!index)
            return index.failure();
        filling().some.zeros |= mask_of(index.value(), 1);
    }
    return {};
}

// ---- delivering ---------------------------------------------------------------------------------

result<void> region_target::flush() {
    const auto region = this->region();
    if (!region)
        return region.failure();
    if (const result<void> sent = send(*region.value()); !sent)
        return sent;
    return await(*region.value(), other());
}

/// Lets the collected window go, once the one before it has arrived. If that has failed, the
/// collected one is dropped.
result<void> region_target::send(managed_region& region) {
    const result<void> before = await(region, other());
    shipment& from = filling();
    if (!before || from.some.pages == 0) {
        from.some = {};
        return before;
    }
    filling_ = 1 - filling_;
    const byte_count length = std::min(window_bytes, region.size() - from.some.offset);
    const auto parts = region.parts_of(from.some.offset, length);
    if (!parts)
        return parts.failure();
    if (parts.value().size() != 1) {
        const result<void> done = deliver(region, from);
        from.some = {};
        return done;
    }
    const region_part& all = parts.value().front();
    prepare(from, from.some, all.run, 0);
    command& c = from.arriving.emplace(command::kind::arrive, all.run, all.owner->queue());
    c.arrival = &from.job;
    all.owner->post(c);
    return {};
}

result<void> region_target::await(managed_region& region, shipment& sent) {
    if (!sent.arriving)
        return {};
    result<void> done = sent.arriving->wait();
    sent.arriving.reset();
    if (done)
        done = finish(region, sent, sent.job.present);
    sent.some = {};
    return done;
}

result<void> region_target::deliver(managed_region& region, const window& some) {
    filling().some = some;
    const result<void> done = deliver(region, filling());
    filling().some = {};
    return done;
}

/// A window may lie in two shards.
result<void> region_target::deliver(managed_region& region, shipment& from) {
    const window& some = from.some;
    const byte_count length = std::min(window_bytes, region.size() - some.offset);
    const auto parts = region.parts_of(some.offset, length);
    if (!parts)
        return parts.failure();
    page_count first = 0;
    result<void> outcome;
    for (const region_part& part : parts.value()) {
        if (const result<void> r = arrive(part, from, some, first); !r)
            return r;
        if (from.job.refused.code != errc::ok)
            outcome = from.job.refused;
        // Where it was expected, what is there already is newer.
        if (const result<void> r =
                some.expected ? result<void>{} : finish(region, from, from.job.present << first);
            !r)
            return r;
        first += part.run.count;
    }
    return outcome;
}

/// The pages of `part`, the first of which is page `first` of the window.
result<void> region_target::arrive(const region_part& part, shipment& from, const window& some,
                                   page_count first) {
    prepare(from, some, part.run, first);
    if (from.job.pages == 0)
        return {};
    command c(command::kind::arrive, part.run, part.owner->queue());
    c.arrival = &from.job;
    part.owner->post(c);
    return c.wait();
}

void region_target::prepare(shipment& from, const window& some, page_run run, page_count first) {
    const std::uint64_t here = mask_of(0, run.count);
    arrival_job& job = from.job;
    job.pages = some.pages >> first & here;
    job.zeros = some.zeros >> first & here;
    job.located = some.located >> first & here;
    job.cold = some.cold >> first & here;
    job.lost = some.lost >> first & here;
    job.expected = some.expected;
    job.refused = {};
    job.replace = true;
    job.contents = from.contents + bytes_of(first);
    job.locations = from.locations.data() + first;
    job.present = 0;
}

/// What only a thread that may touch guest memory can do.
result<void> region_target::finish(managed_region& region, shipment& from, std::uint64_t present) {
    const window some = from.some;
    const std::uint64_t asked = present | (region.is_shared() ? some.zeros : 0);
    for (std::uint64_t left = asked; left != 0; left &= left - 1) {
        const auto index = static_cast<page_count>(std::countr_zero(left));
        const std::uint64_t bit = left & -left;
        const byte_count offset = some.offset + bytes_of(index);
        result<void> done;
        if ((some.zeros & bit) != 0)
            done = write_zeros(region, offset, (present & bit) != 0);
        else if ((some.located & bit) != 0)
            done = replace_by_location(region, from, index);
        else
            std::memcpy(region.data() + offset, from.contents + bytes_of(index), page_size);
        if (!done)
            return done;
    }
    return {};
}

/// Gives the memory back, too, unless the page is pinned. Shared memory may have contents that came
/// through another mapping of the file.
result<void> region_target::write_zeros(managed_region& region, byte_count offset, bool present) {
    if (!present && !region.file_has(offset))
        return {};
    const result<void> done = region.discard(offset, page_size);
    if (done.code() != errc::busy)
        return done;
    std::memset(region.data() + offset, 0, page_size);
    return {};
}

/// The page left nothing to be kept, so it is absent before it is adopted.
result<void> region_target::replace_by_location(managed_region& region, shipment& from,
                                                page_count index) {
    const byte_count offset = from.some.offset + bytes_of(index);
    if (const result<void> gone = region.discard(offset, page_size); !gone)
        return gone;
    window one;
    one.offset = from.some.offset;
    one.pages = one.located = mask_of(index, 1);
    const auto parts = region.parts_of(offset, page_size);
    if (!parts)
        return parts.failure();
    if (const result<void> r = arrive(parts.value().front(), from, one, index); !r)
        return r;
    return from.job.present == 0 ? result<void>{}
                                 : error{errc::busy, 0, "adopt: somebody accesses the page"};
}

} // namespace uffdmm
