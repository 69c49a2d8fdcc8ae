// SPDX-License-Identifier: BSD-3-Clause
#include "manager/region_restoration.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "detail/little_endian.hpp"
#include "detail/signals_blocked.hpp"
#include "tier/checksum.hpp"
#include "uffdmm/engine/same_filled.hpp"

namespace uffdmm {

region_restoration::region_restoration(std::shared_ptr<region_link> link)
    : link_(std::move(link)), target_(link_) {
}

region_restoration::~region_restoration() {
    if (thread_.joinable())
        thread_.join();
}

result<void> region_restoration::open(managed_region& region, const std::string& path) {
    region_ = &region;
    file_ = file_descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file_)
        return error{errc::system, errno, "restore: opening the snapshot"};
    std::vector<std::byte> page(snapshot_header_bytes);
    if (const result<void> r = read_at(page, 0); !r)
        return r.code() == errc::corrupt
                   ? error{errc::invalid_argument, 0, "restore: the file is no snapshot"}
                   : r;
    const auto header = decode_header(page);
    if (!header)
        return header.failure();
    header_ = header.value();
    if (header_.region_bytes != region.size())
        return error{errc::invalid_argument, 0, "restore: the region must have the saved size"};
    if (const result<void> r = read_index(header_.windows()); !r)
        return r;
    if (region.is_shared() && region.file_has_any())
        return error{errc::wrong_state, 0, "restore: the region's file has contents"};
    if (header_.has_volume) {
        if (region.store() == nullptr)
            return error{errc::not_found, 0, "restore: no tier has the snapshot's store"};
        if (const result<void> r = region.store()->attach(header_.volume); !r)
            return r;
    }
    const result<void> expected = region.expect_all();
    if (!expected && header_.has_volume)
        (void)region.store()->detach();
    return expected;
}

result<void> region_restoration::read_index(std::uint64_t windows) {
    std::vector<std::byte> bytes(windows * snapshot_entry_bytes);
    if (const result<void> r = read_at(bytes, header_.index); !r)
        return r;
    if (snapshot_sum(bytes) != header_.index_sum)
        return error{errc::corrupt, 0, "restore: the snapshot's index is damaged"};
    index_.resize(windows);
    for (std::size_t i = 0; i < windows; ++i)
        index_[i] = decode_entry(bytes.data() + i * snapshot_entry_bytes);
    done_.resize(windows);
    return {};
}

result<void> region_restoration::start() {
    link_->worker_begins();
    try {
        const signals_blocked none;
        thread_ = std::thread([this] { work(); });
    } catch (const std::system_error& e) {
        link_->worker_ended();
        (void)region_->run_on_all(command::kind::unexpect);
        if (header_.has_volume)
            (void)region_->store()->detach();
        return error{errc::system, e.code().value(), "restore: starting a thread"};
    }
    ::pthread_setname_np(thread_.native_handle(), "uffdmm-restore");
    return {};
}

result<void> region_restoration::wait() {
    // acquire: pairs with the release in work().
    finished_.wait(false, std::memory_order_acquire);
    return outcome_;
}

// ---- the thread ---------------------------------------------------------------------------------

void region_restoration::work() noexcept {
    std::uint64_t sequential = 0;
    for (std::uint64_t left = index_.size(); left != 0 && !link_->ending();) {
        if (bring(next_window(sequential)))
            --left;
        else
            ::usleep(10'000);
    }
    if (link_->ending())
        note(error{errc::shut_down, 0, "restore: the region ended before everything was there"});
    else if (header_.has_volume)
        note(region_->store()->accept(header_.nonce));
    link_->restoration_ended();
    link_->worker_ended();
    finished_.store(true, std::memory_order_release);
    finished_.notify_all();
}

/// What a fault waits for goes first.
std::uint64_t region_restoration::next_window(std::uint64_t& sequential) {
    const page_index page = region_->take_awaited();
    if (page != no_page && !done_[page.value / snapshot_window])
        return page.value / snapshot_window;
    while (done_[sequential])
        ++sequential;
    return sequential;
}

/// False: neither memory nor a tier has room at present. The pages wait, and others may be first.
bool region_restoration::bring(std::uint64_t number) {
    const snapshot_entry& entry = index_[number];
    window some;
    some.offset = number * bytes_of(snapshot_window);
    some.expected = true;
    some.pages = ~std::uint64_t{0};
    const result<void> read_it = read(entry, some);
    if (!read_it) {
        note(read_it);
        some.located = some.cold = 0;
        some.lost |= entry.contents | entry.located | entry.filled;
    }
    const result<void> there = target_.deliver(*region_, some);
    if (there.code() == errc::full || there.code() == errc::busy)
        return false;
    note(there); // locations that the store refuses: their pages are poisoned
    done_[number] = true;
    restored_.store(std::min(restored_.load(std::memory_order_relaxed) + bytes_of(snapshot_window),
                             region_->size()),
                    std::memory_order_relaxed);
    return true;
}

/// Fills the target's buffers and `some`.
result<void> region_restoration::read(const snapshot_entry& entry, window& some) {
    some.zeros = ~(entry.contents | entry.located | entry.filled | entry.lost);
    some.lost = entry.lost;
    some.cold = (entry.contents & ~entry.warm) | entry.filled;
    if (const result<void> r = read_contents(entry); !r)
        return r;
    return read_extras(entry, some);
}

result<void> region_restoration::read_contents(const snapshot_entry& entry) {
    const auto pages = static_cast<page_count>(std::popcount(entry.contents));
    std::byte* const all = target_.contents();
    if (const result<void> r = read_at({all, bytes_of(pages)}, entry.contents_page * page_size); !r)
        return r;
    std::uint64_t sum = 0;
    for (page_count i = 0; i < pages; ++i)
        sum = checksum({all + bytes_of(i), page_size}, sum);
    if (pages != 0 && static_cast<std::uint32_t>(sum) != entry.contents_sum)
        return error{errc::corrupt, 0, "restore: contents in the snapshot are damaged"};
    // To their places, the last first, as none moves down.
    page_count n = pages;
    for (std::uint64_t left = entry.contents; left != 0;) {
        const auto index = static_cast<page_count>(63 - std::countl_zero(left));
        left &= ~(std::uint64_t{1} << index);
        if (--n != index)
            std::memcpy(all + bytes_of(index), all + bytes_of(n), page_size);
    }
    return {};
}

result<void> region_restoration::read_extras(const snapshot_entry& entry, window& some) {
    std::vector<std::byte> extras(entry.extras_bytes());
    if (extras.empty())
        return {};
    if (const result<void> r = read_at(extras, entry.extras); !r)
        return r;
    if (snapshot_sum(extras) != entry.extras_sum)
        return error{errc::corrupt, 0, "restore: locations in the snapshot are damaged"};
    const std::byte* at = extras.data();
    for (std::uint64_t left = entry.located; left != 0; left &= left - 1, at += location_bytes) {
        const auto place = decode_location({at, location_bytes});
        if (!place)
            return place.failure();
        target_.locations()[static_cast<std::size_t>(std::countr_zero(left))] = place.value();
    }
    some.located = entry.located;
    for (std::uint64_t left = entry.filled; left != 0; left &= left - 1, at += 8)
        fill_with_pattern(target_.contents() +
                              bytes_of(static_cast<page_count>(std::countr_zero(left))),
                          get_le<std::uint64_t>(at));
    return {};
}

result<void> region_restoration::read_at(std::span<std::byte> to, std::uint64_t offset) const {
    while (!to.empty()) {
        const ssize_t n = ::pread(file_.get(), to.data(), to.size(), static_cast<off_t>(offset));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error{errc::io_error, errno, "restore: reading the snapshot"};
        if (n == 0)
            return error{errc::corrupt, 0, "restore: the snapshot is cut short"};
        to = to.subspan(static_cast<std::size_t>(n));
        offset += static_cast<std::uint64_t>(n);
    }
    return {};
}

void region_restoration::note(const result<void>& failure) {
    if (outcome_.ok() && !failure.ok())
        outcome_ = failure;
}

} // namespace uffdmm
