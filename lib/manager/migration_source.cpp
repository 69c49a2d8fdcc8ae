// SPDX-License-Identifier: BSD-3-Clause
#include "manager/migration_source.hpp"

#include <algorithm>
#include <cstdint>

namespace uffdmm {
namespace {

error refused(const char* why) {
    return {errc::invalid_argument, 0, why};
}

result<void> check_output(const managed_region& region, byte_count length, const look_output& out) {
    const page_count pages = pages_of(length);
    if (out.records.size() != pages)
        return refused("look: there must be as many records as pages");
    if (out.contents == nullptr)
        return {};
    if (reinterpret_cast<std::uintptr_t>(out.contents) % page_size != 0)
        return refused("look: contents must be page-aligned");
    if (out.contents < region.data() + region.size() && region.data() < out.contents + length)
        return refused("look: contents must not lie in the region");
    return {};
}

/// The part of `out` that belongs to the pages from `first` on.
look_output from(const look_output& out, page_count first, page_count count) {
    look_output rest = out;
    rest.records = out.records.subspan(first, count);
    if (out.contents != nullptr)
        rest.contents += bytes_of(first);
    if (out.locations != nullptr)
        rest.locations += first;
    return rest;
}

bool same(const page_record& a, const page_record& b) {
    return a.kind == b.kind && a.tier == b.tier && a.cause == b.cause && a.pattern == b.pattern;
}

} // namespace

region_source::region_source(std::shared_ptr<region_link> link,
                             const migration_source_options& options)
    : link_(std::move(link)), options_(options),
      contents_(mapping::anonymous((std::size_t{most} + 1) * page_size)) {
}

region_source::~region_source() {
    (void)cancel();
    link_->source_ended();
}

result<managed_region*> region_source::region() {
    managed_region* region = link_->region();
    if (region == nullptr)
        return error{errc::wrong_state, 0, "migration_source: its region is removed"};
    if (ended_)
        return error{errc::wrong_state, 0, "migration_source: it is complete or cancelled"};
    return region;
}

// ---- page by page -------------------------------------------------------------------------------

result<page_view> region_source::page(byte_count offset) {
    const auto region = this->region();
    if (!region)
        return region.failure();
    if (!is_page_aligned(offset) || offset >= region.value()->size())
        return refused("page: the offset must be a multiple of 4096 inside the region");
    if (!in_window(offset))
        if (const result<void> moved = move_window(*region.value(), offset); !moved)
            return moved.failure();
    ++window_.asked;
    const page_count index = pages_of(offset - window_.offset);
    const std::uint64_t changed = window_.part.owner->engine().changed_pages();
    const bool fresh =
        (changed >> index & 1) == 0 && window_.records[index].kind != page_kind::unreadable;
    if (fresh) {
        page_view view = view_of(index);
        ask_the_file(*region.value(), offset, view.record);
        return view;
    }
    const region_part part{
        window_.part.owner, window_.part.base, {window_.part.run.first + index, 1}};
    std::byte* const contents = contents_.data() + bytes_of(most);
    const look_output out{{&single_, 1}, contents, options_.locations ? &single_place_ : nullptr};
    if (const result<void> looked = peek(part, out, false); !looked)
        return looked.failure();
    ask_the_file(*region.value(), offset, single_);
    return page_view{single_, single_.kind == page_kind::swapped ? contents : nullptr,
                     single_.kind == page_kind::located ? &single_place_ : nullptr};
}

page_view region_source::view_of(page_count index) const {
    page_view view{window_.records[index]};
    if (view.record.kind == page_kind::swapped)
        view.contents = contents_.data() + bytes_of(index);
    if (view.record.kind == page_kind::located)
        view.place = &window_.locations[index];
    return view;
}

result<void> region_source::move_window(managed_region& region, byte_count offset) {
    const bool used = 2 * window_.asked >= window_.part.run.count;
    ahead_ = std::clamp<page_count>(used ? ahead_ * 2 : ahead_ / 2, 1, most);
    const byte_count length = std::min(bytes_of(ahead_), region.size() - offset);
    const auto parts = region.parts_of(offset, length);
    if (!parts)
        return parts.failure();
    const region_part& first = parts.value().front();
    // One window is watched, so a former one, in whatever shard, is not vouched for any more.
    if (window_.part.owner != nullptr && window_.part.owner != first.owner)
        (void)window_.part.owner->run(command::kind::unwatch, {});
    window_.part = first;
    window_.offset = offset;
    window_.asked = 0;
    const look_output out{{window_.records.data(), first.run.count},
                          contents_.data(),
                          options_.locations ? window_.locations.data() : nullptr};
    const result<void> looked = peek(first, out, true);
    if (!looked)
        window_.part.run.count = 0;
    return looked;
}

// ---- ranges -------------------------------------------------------------------------------------

result<void> region_source::look(byte_count offset, byte_count length, const look_output& out) {
    const auto region = this->region();
    if (!region)
        return region.failure();
    const auto parts = region.value()->parts_of(offset, length);
    if (!parts)
        return parts.failure();
    if (const result<void> fits = check_output(*region.value(), length, out); !fits)
        return fits;
    look_output rest = out;
    if (!options_.locations)
        rest.locations = nullptr;
    page_count done = 0;
    for (const region_part& part : parts.value()) {
        if (const auto r = peek(part, from(rest, done, part.run.count), false); !r)
            return r;
        done += part.run.count;
    }
    for (page_count i = 0; i < done; ++i)
        ask_the_file(*region.value(), offset + bytes_of(i), out.records[i]);
    return {};
}

result<std::vector<record_run>> region_source::walk(byte_count offset, byte_count length) {
    constexpr page_count at_a_time = 4096;
    const auto region = this->region();
    if (!region)
        return region.failure();
    if (const auto parts = region.value()->parts_of(offset, length); !parts)
        return parts.failure();
    std::vector<record_run> runs;
    std::vector<page_record> records(std::min<byte_count>(at_a_time, length >> page_shift));
    for (byte_count at = offset; at < offset + length; at += bytes_of(at_a_time)) {
        const byte_count here = std::min(bytes_of(at_a_time), offset + length - at);
        const std::span some(records.data(), pages_of(here));
        if (const auto r = look(at, here, {some}); !r)
            return r.failure();
        for (page_count i = 0; i < some.size(); ++i) {
            if (options_.locations && some[i].kind == page_kind::swapped &&
                region.value()->tier_is_shared(some[i].tier))
                some[i].kind = page_kind::located;
            if (runs.empty() || !same(runs.back().what, some[i]))
                runs.push_back({at + bytes_of(i), 0, some[i]});
            runs.back().length += page_size;
        }
    }
    return runs;
}

// ---- below --------------------------------------------------------------------------------------

result<void> region_source::peek(const region_part& part, const look_output& out, bool watch) {
    job_.records = out.records.data();
    job_.contents = out.contents;
    job_.locations = out.locations;
    job_.watch = watch;
    command c(command::kind::peek, part.run, part.owner->queue());
    c.peek = &job_;
    part.owner->post(c);
    return c.wait();
}

/// What came into the file of shared memory without the library is in no page table of ours.
void region_source::ask_the_file(managed_region& region, byte_count offset,
                                 page_record& record) const {
    if (record.kind == page_kind::untouched && region.file_has(offset))
        record.kind = page_kind::resident;
}

result<void> region_source::complete() {
    return end(true);
}

result<void> region_source::cancel() {
    return end(false);
}

result<void> region_source::end(bool leases_stay) {
    const auto region = this->region();
    if (!region)
        return region.failure();
    ended_ = true;
    (void)region.value()->run_on_all(command::kind::unwatch);
    return leases_stay ? result<void>{} : region.value()->run_on_all(command::kind::end_leases);
}

} // namespace uffdmm
