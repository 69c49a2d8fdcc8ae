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
      contents_(mapping::anonymous((2 * std::size_t{most} + 1) * page_size)) {
    static_assert(page_watch::windows == 2, "the window, and the one ahead");
    windows_[1].job.window = 1;
}

region_source::~region_source() {
    for (window& some : windows_)
        (void)await(some); // shards end after what was posted to them
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
    if (!current().has(offset))
        if (const result<void> moved = move_window(*region.value(), offset); !moved)
            return moved.failure();
    window& here = current();
    ++here.asked;
    const page_count index = pages_of(offset - here.offset);
    const std::uint64_t changed = here.part.owner->engine().changed_pages(here.job.window);
    const bool fresh =
        (changed >> index & 1) == 0 && here.records[index].kind != page_kind::unreadable;
    if (fresh) {
        page_view view = view_of(here, index);
        ask_the_file(*region.value(), offset, view.record);
        return view;
    }
    const region_part part{here.part.owner, here.part.base, {here.part.run.first + index, 1}};
    std::byte* const contents = single_contents();
    const look_output out{{&single_, 1}, contents, options_.locations ? &single_place_ : nullptr};
    if (const result<void> looked = peek(part, out); !looked)
        return looked.failure();
    ask_the_file(*region.value(), offset, single_);
    return page_view{single_, single_.kind == page_kind::swapped ? contents : nullptr,
                     single_.kind == page_kind::located ? &single_place_ : nullptr};
}

page_view region_source::view_of(const window& some, page_count index) const {
    page_view view{some.records[index]};
    if (view.record.kind == page_kind::swapped)
        view.contents = contents_of(some) + bytes_of(index);
    if (view.record.kind == page_kind::located)
        view.place = &some.locations[index];
    return view;
}

/// To where `offset` is, and the other one ahead of it where page after page is asked for.
result<void> region_source::move_window(managed_region& region, byte_count offset) {
    const bool used = 2 * current().asked >= current().part.run.count;
    length_ = std::clamp<page_count>(used ? length_ * 2 : length_ / 2, 1, most);
    if (ahead().has(offset))
        current_ = 1 - current_;
    else if (const result<void> started = start(region, current(), offset); !started)
        return started;
    if (const result<void> looked = await(current()); !looked)
        return looked;
    if (length_ == most && current().end() < region.size())
        return start(region, ahead(), current().end());
    return {};
}

/// Has the shard look at the pages from `offset` on.
result<void> region_source::start(managed_region& region, window& some, byte_count offset) {
    (void)await(some);
    const byte_count length = std::min(bytes_of(length_), region.size() - offset);
    const auto parts = region.parts_of(offset, length);
    if (!parts)
        return parts.failure();
    const region_part& first = parts.value().front();
    // A window that was in another shard is not vouched for any more.
    if (shard_thread* const old = some.part.owner; old != nullptr && old != first.owner)
        if (old != windows_[1 - some.job.window].part.owner)
            (void)old->run(command::kind::unwatch, {});
    some.part = first;
    some.offset = offset;
    some.asked = 0;
    prepare(some.job,
            {{some.records.data(), first.run.count},
             contents_of(some),
             options_.locations ? some.locations.data() : nullptr},
            true);
    command& c = some.looking.emplace(command::kind::peek, first.run, first.owner->queue());
    c.peek = &some.job;
    first.owner->post(c);
    return {};
}

/// Until its peek has ended; a window that could not be looked at has no pages.
result<void> region_source::await(window& some) {
    if (!some.looking)
        return {};
    const result<void> looked = some.looking->wait();
    some.looking.reset();
    if (!looked)
        some.part.run.count = 0;
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
        if (const auto r = peek(part, from(rest, done, part.run.count)); !r)
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

void region_source::prepare(peek_job& job, const look_output& out, bool watch) {
    job.records = out.records.data();
    job.contents = out.contents;
    job.locations = out.locations;
    job.watch = watch;
}

result<void> region_source::peek(const region_part& part, const look_output& out) {
    prepare(job_, out, false);
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
    for (window& some : windows_)
        (void)await(some);
    (void)region.value()->run_on_all(command::kind::unwatch);
    return leases_stay ? result<void>{} : region.value()->run_on_all(command::kind::end_leases);
}

} // namespace uffdmm
