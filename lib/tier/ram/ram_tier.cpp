// SPDX-License-Identifier: BSD-3-Clause
#include "tier/ram/ram_tier.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "tier/checksum.hpp"
#include "uffdmm/check.hpp"
#include "uffdmm/result.hpp"

namespace uffdmm {
namespace {

/// With fewer jobs under way a short one is started at once; with more, pages wait until they fill
/// one or a job comes back.
constexpr std::size_t jobs_that_may_be_short = 2;
/// Enough to keep the workers busy; each costs memory (70 KiB, with zstd 140 KiB and more).
constexpr std::size_t most_jobs = 16;
/// Jobs may take this share of the size.
constexpr byte_count jobs_one_in = 64;
/// Pages that are stored anew while their old slots are still there.
constexpr page_count pages_on_the_way = 1024;

tier_traits traits_of(const std::string& name) {
    tier_traits traits;
    traits.name = name;
    traits.latency = tier_latency::memory;
    traits.synchronous_load = true;
    traits.counts_in_limit = true;
    traits.keeps_cold_order = true;
    return traits;
}

std::uint32_t length_limit(const ram_tier_config& config) {
    return static_cast<std::uint32_t>(page_size * config.reject_percent / 100);
}

std::uint32_t record_limit(page_count pages) {
    return std::min(pages, slab_pool::most_numbers - pages_on_the_way) + pages_on_the_way;
}

void refuse_unless(bool allowed, const char* key, std::int64_t value, const char* range) {
    if (!allowed)
        throw setup_error(errc::invalid_config, std::string("tiers[].") + key + ": " +
                                                    std::to_string(value) + " is not allowed, " +
                                                    range + " are");
}

} // namespace

ram_tier::ram_tier(const ram_tier_config& config, std::shared_ptr<ram_quota> quota,
                   const tier_context& context)
    : swap_tier(traits_of(config.name)), quota_(std::move(quota)), workers_(context.workers),
      pool_(*quota_), records_(record_limit(context.shard_pages)),
      decompressor_(config.compression) {
    const page_compressor compressor(config.compression, config.level);
    const std::uint32_t limit = length_limit(config);
    job_bytes_ = compress_job::memory_bytes(compressor, limit);
    const std::size_t jobs =
        std::clamp<byte_count>(quota_->size() / jobs_one_in / job_bytes_, 1, most_jobs);
    compress_owner& owner = *this;
    for (std::size_t i = 0; i < jobs; ++i) {
        compress_job& job = jobs_.emplace_back(context.home, owner, compressor, limit);
        job.next_free = free_jobs_;
        free_jobs_ = &job;
    }
    quota_->join();
}

ram_tier::~ram_tier() {
    UFFDMM_CHECK(jobs_out_ == 0, "no store outlives its tier");
    quota_->leave();
}

// ---- storing ------------------------------------------------------------------------------------

void ram_tier::do_store(std::span<store_request* const> requests, tier_client& client) noexcept {
    const bool full = is_full();
    for (store_request* request : requests) {
        UFFDMM_CHECK(request->owner <= UINT32_MAX, "page numbers have 32 bits");
        if (full) {
            finish(*request, tier_status::full);
        } else {
            waiting_.push(*request);
            ++waiting_count_;
        }
    }
    start_jobs();
    deliver(client);
}

/// Whether compressing would be in vain: the last page found no room, and none was made since.
bool ram_tier::is_full() const noexcept {
    return was_full_ && quota_->taken() >= taken_when_full_;
}

/// Submits waiting pages in as few jobs as keep the workers busy.
void ram_tier::start_jobs() noexcept {
    std::array<job*, most_jobs> batch;
    std::size_t n = 0;
    while (waiting_count_ != 0 && free_jobs_ != nullptr &&
           (waiting_count_ >= compress_job::most_pages || jobs_out_ < jobs_that_may_be_short)) {
        compress_job& job = take_job();
        for (; waiting_count_ != 0 && !job.is_filled(); --waiting_count_)
            job.add(waiting_.pop());
        batch[n++] = &job;
    }
    if (n != 0)
        workers_.submit({batch.data(), n});
}

compress_job& ram_tier::take_job() noexcept {
    compress_job& job = *free_jobs_;
    free_jobs_ = job.next_free;
    ++jobs_out_;
    if (!job.used)
        jobs_memory_ += job_bytes_;
    job.used = true;
    job.clear();
    return job;
}

void ram_tier::compressed(compress_job& job) noexcept {
    for (const compress_job::result& r : job.results())
        finish(*r.request, keep(job, r));
    --jobs_out_;
    job.next_free = free_jobs_;
    free_jobs_ = &job;
    start_jobs();
}

tier_status ram_tier::keep(const compress_job& job, const compress_job::result& r) noexcept {
    if (r.length == 0)
        return tier_status::rejected;
    const std::uint32_t number = records_.add();
    const object_place place =
        number == record_table::none ? no_place : place_for(r.length, number);
    if (place == no_place) {
        if (number != record_table::none)
            records_.remove(number);
        was_full_ = true;
        taken_when_full_ = quota_->taken();
        return tier_status::full;
    }
    page_record& record = records_[number];
    record.owner = static_cast<std::uint32_t>(r.request->owner);
    record.checksum = r.checksum;
    record.place = place;
    record.length = static_cast<std::uint16_t>(r.length);
    std::memcpy(pool_.data(place), job.bytes_of(r).data(), r.length);
    stored_bytes_ += r.length;
    r.request->slot = records_.name_of(number);
    return tier_status::ok;
}

/// Closes up holes before it gives up.
object_place ram_tier::place_for(std::uint32_t bytes, std::uint32_t number) noexcept {
    object_place place = pool_.allocate(bytes, number);
    while (place == no_place && pool_.squeeze(*this))
        place = pool_.allocate(bytes, number);
    return place;
}

bool ram_tier::moved(std::uint32_t number, object_place from, object_place to) noexcept {
    page_record* const record = records_.at(number);
    if (record == nullptr || record->place != from)
        return false;
    record->place = to;
    return true;
}

void ram_tier::finish(store_request& request, tier_status status) noexcept {
    if (status != tier_status::ok)
        request.slot = no_slot;
    request.status = status;
    done_.push(request);
}

void ram_tier::do_poll(tier_client& client) noexcept {
    pool_.tidy(*this);
    deliver(client);
}

/// Tells the client last, when everything here is consistent: it may call back at once. What ends
/// within such a call is delivered by the outermost one.
void ram_tier::deliver(tier_client& client) noexcept {
    if (delivering_)
        return;
    delivering_ = true;
    while (!done_.empty())
        client.store_done(done_.pop());
    delivering_ = false;
}

// ---- loading ------------------------------------------------------------------------------------

void ram_tier::do_load(std::span<load_request* const> requests, tier_client& client) noexcept {
    for (load_request* request : requests) {
        request->status = read(*request);
        client.load_done(*request);
    }
}

tier_status ram_tier::read(const load_request& request) noexcept {
    const page_record* const record = records_.find(request.slot);
    if (record == nullptr || pool_.number(record->place) != record_table::number_of(request.slot))
        return tier_status::corrupt;
    const std::span<const std::byte> bytes(pool_.data(record->place), record->length);
    if (checksum(bytes, record->owner) != record->checksum ||
        !decompressor_.decompress(bytes, request.destination))
        return tier_status::corrupt;
    return tier_status::ok;
}

void ram_tier::do_release(slot_id slot) noexcept {
    const page_record* const record = records_.find(slot);
    UFFDMM_CHECK(record != nullptr, "a slot is freed once, by the name it was given out with");
    stored_bytes_ -= record->length;
    pool_.free(record->place);
    records_.remove(record_table::number_of(slot));
    was_full_ = false;
}

// ---- what there is ------------------------------------------------------------------------------

tier_usage ram_tier::do_usage() const noexcept {
    tier_usage usage;
    usage.pages = records_.used();
    usage.stored_bytes = stored_bytes_;
    usage.occupied_bytes = pool_.resident_bytes();
    usage.memory_bytes = pool_.resident_bytes() + pool_.metadata_bytes() + records_.memory_bytes() +
                         decompressor_.memory_bytes() + jobs_memory_ + sizeof(*this) +
                         jobs_.size() * sizeof(compress_job);
    usage.capacity_bytes = quota_->reachable(usage.occupied_bytes);
    return usage;
}

std::span<std::byte> ram_tier::stored_bytes(slot_id slot) noexcept {
    const page_record* const record = records_.find(slot);
    UFFDMM_CHECK(record != nullptr, "a slot that exists");
    return {pool_.data(record->place), record->length};
}

tier_factory make_ram_tier_factory(const ram_tier_config& config, byte_count limit) {
    refuse_unless(config.reject_percent >= 1 && config.reject_percent <= 100, "reject_percent",
                  config.reject_percent, "1 to 100");
    refuse_unless(config.compression == codec::lz4 || (config.level >= 1 && config.level <= 19),
                  "level", config.level, "1 to 19");
    auto quota = std::make_shared<ram_quota>(config.size != 0 ? config.size : limit / 2);
    return [config, quota](const tier_context& context) {
        return std::make_unique<ram_tier>(config, quota, context);
    };
}

} // namespace uffdmm
