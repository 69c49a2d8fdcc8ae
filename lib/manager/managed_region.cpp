// SPDX-License-Identifier: BSD-3-Clause
#include "manager/managed_region.hpp"

#include "manager/migration_source.hpp"
#include "manager/migration_target.hpp"
#include "manager/region_restoration.hpp"
#include "manager/snapshot_writer.hpp"

#include <algorithm>
#include <cerrno>
#include <deque>
#include <new>

#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

namespace uffdmm {

managed_region::managed_region(const region_config& config, const shard_services& shared,
                               unsigned first_shard)
    : name_(config.name), link_(std::make_shared<region_link>(*this)), memory_(config) {
    byte_count offset = 0;
    for (const page_count pages : split(config.size, config.shards)) {
        shards_.push_back(std::make_unique<shard_thread>(memory_.slice(offset, pages), config,
                                                         shared, first_shard++));
        offset += bytes_of(pages);
    }
    adopt_contents();
    for (const auto& shard : shards_)
        shard->start();
}

managed_region::~managed_region() {
    link_->end_workers();
    link_->region_gone();
}

std::vector<page_count> managed_region::split(byte_count size, unsigned shards) {
    const byte_count pages = size >> page_shift;
    std::vector<page_count> parts(shards, static_cast<page_count>(pages / shards));
    for (byte_count i = 0; i < pages % shards; ++i)
        ++parts[i];
    return parts;
}

/// The range is registered: from here on no page appears unseen, so what is there now is all.
void managed_region::adopt_contents() {
    std::size_t at = 0;
    byte_count base = 0;
    for (const memory_extent& extent : memory_.contents()) {
        for (byte_count offset = extent.offset; offset < extent.offset + extent.length;
             offset += page_size) {
            while (offset >= base + bytes_of(shards_[at]->pages()))
                base += bytes_of(shards_[at++]->pages());
            shards_[at]->adopt_resident({pages_of(offset - base)});
        }
    }
}

result<std::vector<managed_region::part>> managed_region::parts_of(byte_count offset,
                                                                   byte_count length) {
    if (!is_page_aligned(offset) || !is_page_aligned(length))
        return error{errc::invalid_argument, 0, "offset and length must be multiples of 4096"};
    if (offset > size() || length > size() - offset)
        return error{errc::invalid_argument, 0, "the range must lie inside the region"};
    std::vector<part> parts;
    byte_count base = 0;
    for (const auto& shard : shards_) {
        const byte_count end = base + bytes_of(shard->pages());
        const byte_count from = std::max(offset, base);
        const byte_count to = std::min(offset + length, end);
        if (from < to)
            parts.push_back(
                {shard.get(), {pages_of(base)}, {{pages_of(from - base)}, pages_of(to - from)}});
        base = end;
    }
    return parts;
}

/// Posts all before waiting for any: shards work at the same time.
result<void> managed_region::run(const std::vector<part>& parts, command::kind what) {
    std::deque<command> commands;
    for (const part& p : parts) {
        commands.emplace_back(what, p.run, p.owner->queue());
        p.owner->post(commands.back());
    }
    result<void> first;
    for (command& c : commands)
        if (const result<void> r = c.wait(); !r && first)
            first = r;
    return first;
}

result<void> managed_region::run_on_all(command::kind what) {
    const auto all = parts_of(0, size());
    return run(all.value(), what);
}

// ---- the API ------------------------------------------------------------------------------------

result<void> managed_region::discard(byte_count offset, byte_count length) {
    const auto parts = parts_of(offset, length);
    if (!parts)
        return parts.failure();
    if (shards_.front()->traits().remove_events)
        return discard_by_madvise(offset, length, parts.value());
    return run(parts.value(), command::kind::discard);
}

/// The kernel tells the shards by REMOVE events, which they must be free to read: so this thread
/// does the madvise, not theirs (madvise_self_deadlock).
result<void> managed_region::discard_by_madvise(byte_count offset, byte_count length,
                                                const std::vector<part>& parts) {
    if (const result<void> pinned = run(parts, command::kind::check_pins); !pinned)
        return pinned;
    if (length != 0 && ::madvise(data() + offset, length, MADV_DONTNEED) != 0)
        return error{errc::system, errno, "madvise(MADV_DONTNEED)"};
    return run(parts, command::kind::barrier);
}

result<void> managed_region::pin(byte_count offset, byte_count length) {
    return run_or_undo(offset, length, command::kind::pin, command::kind::unpin);
}

result<void> managed_region::unpin(byte_count offset, byte_count length) {
    return run_or_undo(offset, length, command::kind::unpin, command::kind::pin);
}

/// One shard after the other, so that what succeeded is known when one fails.
result<void> managed_region::run_or_undo(byte_count offset, byte_count length, command::kind what,
                                         command::kind undo) {
    const auto parts = parts_of(offset, length);
    if (!parts)
        return parts.failure();
    for (std::size_t i = 0; i < parts.value().size(); ++i) {
        const part& p = parts.value()[i];
        const result<void> done = p.owner->run(what, p.run);
        if (done)
            continue;
        for (std::size_t j = 0; j < i; ++j)
            (void)parts.value()[j].owner->run(undo, parts.value()[j].run);
        return done;
    }
    return {};
}

result<std::vector<residency_run>> managed_region::query(byte_count offset, byte_count length) {
    const auto parts = parts_of(offset, length);
    if (!parts)
        return parts.failure();
    std::vector<residency_run> runs;
    const auto add = [&runs](byte_count start, const command::run_of_state& run) {
        const residency_run next{start, bytes_of(run.pages.count), run.state, run.tier};
        if (!runs.empty() && runs.back().state == next.state && runs.back().tier == next.tier)
            runs.back().length += next.length;
        else
            runs.push_back(next);
    };
    for (const part& p : parts.value()) {
        for (page_run rest = p.run; rest.count != 0;) {
            command c(command::kind::query, rest, p.owner->queue());
            p.owner->post(c);
            if (const result<void> r = c.wait(); !r)
                return r.failure();
            for (std::size_t i = 0; i < c.answers; ++i)
                add(bytes_of((p.base + c.answer[i].pages.first.value).value), c.answer[i]);
            rest = {c.at, rest.end() - c.at};
        }
    }
    return runs;
}

result<void> managed_region::prefetch(byte_count offset, byte_count length) {
    const auto parts = parts_of(offset, length);
    return parts ? run(parts.value(), command::kind::prefetch) : parts.failure();
}

result<byte_count> managed_region::evict(byte_count offset, byte_count length) {
    const auto parts = parts_of(offset, length);
    if (!parts)
        return parts.failure();
    byte_count evicted = 0;
    for (const part& p : parts.value()) {
        command c(command::kind::evict, p.run, p.owner->queue());
        p.owner->post(c);
        if (const result<void> r = c.wait(); !r)
            return r.failure();
        evicted += bytes_of(c.pages);
    }
    return evicted;
}

// ---- migration ----------------------------------------------------------------------------------

result<std::unique_ptr<migration_source>>
managed_region::begin_source(const migration_source_options& options) {
    if (!link_->source_begins())
        return error{errc::busy, 0, "begin_source: there is a source of this region already"};
    try {
        return std::unique_ptr<migration_source>(std::make_unique<region_source>(link_, options));
    } catch (const setup_error& e) {
        link_->source_ended();
        return error{e.code(), e.os_errno(), "begin_source: memory for contents"};
    }
}

result<std::unique_ptr<migration_target>> managed_region::begin_target() {
    try {
        return std::unique_ptr<migration_target>(std::make_unique<region_target>(link_));
    } catch (const setup_error& e) {
        return error{e.code(), e.os_errno(), "begin_target: memory for contents"};
    }
}

shared_store* managed_region::store() const noexcept {
    const tier_chain& chain = shards_.front()->engine().tiers();
    for (tier_number tier = 1; tier <= chain.last(); ++tier)
        if (shared_store* store = chain.at(tier).shared(); store != nullptr)
            return store;
    return nullptr;
}

/// A tier may turn pages down for a moment, while it makes itself more room: asks again as long as
/// that moves something, or might soon.
result<void> managed_region::evict_all() {
    constexpr unsigned most_in_vain = 20;
    byte_count before = UINT64_MAX;
    for (unsigned in_vain = 0; in_vain < most_in_vain;) {
        if (const auto evicted = evict(0, size()); !evicted)
            return evicted.failure();
        const auto runs = query(0, size());
        if (!runs)
            return runs.failure();
        byte_count stayed = 0;
        for (const residency_run& run : runs.value())
            if (run.state == residency::resident || run.state == residency::staged)
                stayed += run.length;
        if (stayed == 0)
            return {};
        in_vain = stayed < before ? 0 : in_vain + 1;
        before = stayed;
        ::usleep(10'000);
    }
    return {}; // pinned, or no tier takes it: contents
}

/// The volume is offered when everything it is needed for is in the file, and the file gets its
/// name when the volume is offered: what can be found can be restored.
result<snapshot_report> managed_region::save(const std::string& path,
                                             const snapshot_options& options) {
    shared_store* const kept_in = options.locations ? store() : nullptr;
    if (options.locations && kept_in == nullptr)
        return error{errc::not_supported, 0, "save: no tier is a store that other hosts read"};
    if (options.locations)
        if (const result<void> out = evict_all(); !out)
            return out.failure();
    auto source = begin_source({.locations = options.locations});
    if (!source)
        return source.failure();
    try {
        snapshot_writer writer(*this, *source.value(), path);
        if (const result<void> r = writer.write(); !r)
            return r.failure();
        handover_nonce nonce{};
        if (kept_in != nullptr) {
            if (::getrandom(nonce.data(), nonce.size(), 0) != ssize_t{nonce.size()})
                return error{errc::system, errno, "save: getrandom"};
            if (const result<void> r = kept_in->offer(nonce, true); !r)
                return r.failure();
        }
        if (const result<void> r = writer.finish(kept_in, nonce); !r) {
            if (kept_in != nullptr)
                (void)kept_in->cancel();
            return r.failure();
        }
        (void)source.value()->complete();
        return writer.report();
    } catch (const setup_error& e) {
        return error{e.code(), e.os_errno(), "save: memory for contents"};
    } catch (const std::bad_alloc&) {
        return error{errc::no_memory, 0, "save: memory for the index"};
    }
}

result<std::unique_ptr<restoration>> managed_region::restore(const std::string& path) {
    if (!link_->restoration_begins())
        return error{errc::busy, 0, "restore: the region is being restored already"};
    const auto failed = [this](const error& why) {
        link_->restoration_ended();
        return why;
    };
    try {
        auto begun = std::make_unique<region_restoration>(link_);
        if (const result<void> r = begun->open(*this, path); !r)
            return failed(r.failure());
        if (const result<void> r = begun->start(); !r)
            return failed(r.failure());
        return std::unique_ptr<restoration>(std::move(begun));
    } catch (const setup_error& e) {
        return failed(error{e.code(), e.os_errno(), "restore: memory for contents"});
    } catch (const std::bad_alloc&) {
        return failed(error{errc::no_memory, 0, "restore: memory for the index"});
    }
}

page_index managed_region::take_awaited() noexcept {
    page_count base = 0;
    for (const auto& shard : shards_) {
        if (const page_index page = shard->take_awaited(); page != no_page)
            return page + base;
        base += shard->pages();
    }
    return no_page;
}

bool managed_region::file_has_any() const noexcept {
    return !memory_.contents().empty();
}

bool managed_region::file_has(byte_count offset) const noexcept {
    if (!memory_.shared())
        return false;
    const guest_slice page = memory_.slice(offset, 1);
    const auto at = static_cast<off_t>(page.fd_offset);
    return ::lseek(page.fd, at, SEEK_DATA) == at;
}

bool managed_region::tier_is_shared(tier_number tier) const noexcept {
    const tier_chain& chain = shards_.front()->engine().tiers();
    return tier != same_filled_tier && chain.at(tier).shared() != nullptr;
}

// ---- for the manager ----------------------------------------------------------------------------

result<void> managed_region::bring_in() {
    return run_on_all(command::kind::restore);
}

void managed_region::leave_memory() noexcept {
    shards_.clear();
    memory_.release();
}

result<byte_count> managed_region::swapped_bytes() {
    const auto runs = query(0, size());
    if (!runs)
        return runs.failure();
    byte_count bytes = 0;
    for (const residency_run& run : runs.value())
        if (run.state == residency::swapped)
            bytes += run.length;
    return bytes;
}

result<void> managed_region::wait_until_idle(std::chrono::steady_clock::time_point deadline) {
    for (const auto& shard : shards_) {
        command c(command::kind::idle, {}, shard->queue());
        c.deadline_ns = static_cast<std::uint64_t>(
            std::chrono::nanoseconds(deadline.time_since_epoch()).count());
        shard->post(c);
        if (const result<void> r = c.wait(); !r)
            return r;
    }
    return {};
}

} // namespace uffdmm
