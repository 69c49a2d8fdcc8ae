// SPDX-License-Identifier: BSD-3-Clause
#include "support/library_faults.hpp"

#include <cstdio>
#include <cstdlib>

#include "support/refusing_tier.hpp"

namespace uffdmm::bench {
namespace {

constexpr byte_count mib = byte_count{1} << 20;
constexpr std::chrono::milliseconds longest_spin{2};

std::vector<tier_config> tiers_for(fault_kind kind, const std::string& directory) {
    switch (kind) {
    case fault_kind::staged: // so that pages stay staged when they are evicted
        return {custom_tier_config{"refusing", make_refusing_tier}};
    case fault_kind::compressed_zstd:
        return {ram_tier_config{.size = 32 * mib, .compression = codec::zstd}};
    case fault_kind::unprotect: // pages keep their slot only where it costs no memory
    case fault_kind::file:
        return {file_tier_config{.path = directory, .size = 32 * mib}};
    default:
        return {ram_tier_config{.size = 32 * mib}};
    }
}

contents contents_for(fault_kind kind) {
    switch (kind) {
    case fault_kind::staged:
        return contents::noise;
    case fault_kind::same_filled:
        return contents::filled;
    default:
        return contents::mixed;
    }
}

/// What a benchmark asks for must work, or its figures mean nothing.
template <typename Result>
void must(const Result& r, const char* what) {
    if (r.ok())
        return;
    std::fprintf(stderr, "benchmark: %s failed\n", what);
    std::exit(1);
}

} // namespace

const char* to_string(fault_kind kind) {
    switch (kind) {
    case fault_kind::zero_read:
        return "zero_read";
    case fault_kind::zero_write:
        return "zero_write";
    case fault_kind::staged:
        return "staged";
    case fault_kind::same_filled:
        return "same_filled";
    case fault_kind::compressed_lz4:
        return "compressed_lz4";
    case fault_kind::compressed_zstd:
        return "compressed_zstd";
    case fault_kind::file:
        return "file";
    case fault_kind::unprotect:
        return "unprotect";
    }
    return "?";
}

std::vector<operation> operations_of(fault_kind kind) {
    switch (kind) {
    case fault_kind::zero_read:
        return {operation::zeropage};
    case fault_kind::staged:
        return {operation::copy, operation::move};
    case fault_kind::unprotect:
        return {operation::unprotect};
    default:
        return {operation::copy};
    }
}

bool is_write(fault_kind kind) {
    return kind == fault_kind::zero_write || kind == fault_kind::unprotect;
}

library_faults::library_faults(fault_kind kind, placement where, const std::string& directory)
    : kind_(kind), where_(where) {
    writes_ = is_write(kind);
    manager_config config;
    config.limit = 256 * mib;
    config.tiers = tiers_for(kind, directory);
    config.spin = where == placement::spinning ? longest_spin : std::chrono::milliseconds(0);
    region_config ram;
    ram.size = bytes;
    ram.prefetch = "off";
    const pinned there(cpus_for(where)->answering);
    manager_.emplace(config);
    region_ = &manager_->add_region(ram);
    memory_ = region_->data();
    fill_all(contents_for(kind));
}

void library_faults::prepare() {
    switch (kind_) {
    case fault_kind::zero_read:
    case fault_kind::zero_write:
        must(region_->discard(0, bytes), "discard");
        break;
    case fault_kind::unprotect: // a page that was written before is not protected again
        must(region_->discard(0, bytes), "discard");
        fill_all(contents_for(kind_));
        evict_all();
        touch_all();
        break;
    default:
        evict_all();
        break;
    }
    must(manager_->wait_until_idle(std::chrono::seconds(10)), "wait_until_idle");
    if (where_ != placement::spinning)
        return;
    // Wakes the shard thread; from the first fault on it spins between them.
    (void)*reinterpret_cast<volatile std::byte*>(memory_ + page_size);
    must(region_->discard(page_size, page_size), "discard");
}

void library_faults::pause() {
    if (where_ == placement::spinning)
        let_pass(2 * std::uint64_t{std::chrono::nanoseconds(longest_spin).count()});
}

void library_faults::fill_all(contents what) {
    for (unsigned i = 0; i < batch; ++i)
        fill(memory_ + std::size_t{i} * stride * page_size, what, random_);
}

void library_faults::evict_all() {
    must(region_->evict(0, bytes), "evict");
}

void library_faults::touch_all() {
    for (unsigned i = 0; i < batch; ++i)
        (void)*reinterpret_cast<volatile std::byte*>(memory_ + std::size_t{i} * stride * page_size);
}

} // namespace uffdmm::bench
