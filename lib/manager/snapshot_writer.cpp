// SPDX-License-Identifier: BSD-3-Clause
#include "manager/snapshot_writer.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <libgen.h>
#include <unistd.h>

#include "detail/little_endian.hpp"
#include "tier/checksum.hpp"

namespace uffdmm {
namespace {

error from_errno(const char* operation) {
    return {errc::system, errno, operation};
}

} // namespace

snapshot_writer::snapshot_writer(const managed_region& region, migration_source& source,
                                 std::string path)
    : region_(region), source_(source), path_(std::move(path)), temporary_(path_ + ".part"),
      contents_(mapping::anonymous(bytes_of(most))) {
    header_.region_bytes = region.size();
}

snapshot_writer::~snapshot_writer() {
    if (file_)
        (void)::unlink(temporary_.c_str());
}

result<void> snapshot_writer::write() {
    file_ =
        file_descriptor(::open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file_)
        return from_errno("save: making PATH.part");
    index_.reserve(header_.windows());
    for (byte_count at = 0; at < region_.size(); at += bytes_of(most)) {
        const byte_count here = std::min(bytes_of(most), region_.size() - at);
        if (const result<void> r = write_window(at, pages_of(here)); !r)
            return r;
    }
    return write_extras();
}

result<void> snapshot_writer::write_window(byte_count offset, page_count pages) {
    const look_output out{std::span(records_).first(pages), contents_.data(), locations_.data()};
    if (const result<void> looked = source_.look(offset, bytes_of(pages), out); !looked)
        return looked;
    index_.emplace_back();
    index_.back().extras = extras_.size();
    used_pieces_ = 0;
    for (page_count i = 0; i < pages; ++i)
        if (const result<void> r = add(i, records_[i], offset + bytes_of(i)); !r)
            return r;
    // Behind the locations, whose number is known now.
    for (page_count i = 0; i < pages; ++i) {
        if (records_[i].kind != page_kind::same_filled)
            continue;
        extras_.resize(extras_.size() + sizeof(std::uint64_t));
        put_le(&*extras_.end() - sizeof(std::uint64_t), records_[i].pattern);
    }
    const std::span extras(extras_.data() + index_.back().extras,
                           extras_.size() - index_.back().extras);
    index_.back().extras_sum = snapshot_sum(extras);
    return append_contents(index_.back());
}

result<void> snapshot_writer::add(page_count index, const page_record& record, byte_count offset) {
    snapshot_entry& entry = index_.back();
    const std::uint64_t bit = std::uint64_t{1} << index;
    switch (record.kind) {
    case page_kind::untouched:
        ++report_.zeros;
        return {};
    case page_kind::same_filled:
        ++report_.same_filled;
        entry.filled |= bit;
        return {};
    case page_kind::lost:
        ++report_.lost;
        entry.lost |= bit;
        return {};
    case page_kind::located: {
        ++report_.located;
        entry.located |= bit;
        const encoded_location place = encode(locations_[index]);
        extras_.insert(extras_.end(), place.begin(), place.end());
        return {};
    }
    case page_kind::unreadable:
        return error{record.cause, 0, "save: a tier cannot read a page; nothing was saved"};
    case page_kind::resident:
    case page_kind::swapped:
        break;
    }
    // The guest is stopped: what is in its memory stays as it is.
    const bool resident = record.kind == page_kind::resident;
    std::byte* const page = contents_.data() + bytes_of(index);
    if (resident)
        std::memcpy(page, region_.data() + offset, page_size);
    ++report_.contents;
    entry.contents |= bit;
    entry.warm |= resident ? bit : 0;
    pieces_[used_pieces_++] = {page, page_size};
    return {};
}

result<void> snapshot_writer::append_contents(snapshot_entry& entry) {
    entry.contents_page = end_ / page_size;
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < used_pieces_; ++i)
        sum = checksum({static_cast<const std::byte*>(pieces_[i].iov_base), page_size}, sum);
    if (const result<void> r = write_pieces(); !r)
        return r;
    entry.contents_sum = static_cast<std::uint32_t>(sum);
    end_ += used_pieces_ * page_size;
    return {};
}

/// In one call where that works; what it left out page by page.
result<void> snapshot_writer::write_pieces() {
    if (used_pieces_ == 0)
        return {};
    const ssize_t n = ::pwritev(file_.get(), pieces_.data(), static_cast<int>(used_pieces_),
                                static_cast<off_t>(end_));
    const std::size_t whole = n < 0 ? 0 : static_cast<std::size_t>(n) / page_size;
    for (std::size_t i = whole; i < used_pieces_; ++i) {
        const std::span page(static_cast<const std::byte*>(pieces_[i].iov_base), page_size);
        if (const result<void> r = write_at(page, end_ + i * page_size); !r)
            return r;
    }
    return {};
}

/// Offsets of extras become those in the file.
result<void> snapshot_writer::write_extras() {
    for (snapshot_entry& entry : index_)
        entry.extras += end_;
    if (const result<void> r = write_at(extras_, end_); !r)
        return r;
    header_.index = end_ + extras_.size();
    std::vector<std::byte> index(index_.size() * snapshot_entry_bytes);
    for (std::size_t i = 0; i < index_.size(); ++i)
        encode(index_[i], index.data() + i * snapshot_entry_bytes);
    header_.index_sum = snapshot_sum(index);
    report_.file_bytes = header_.index + index.size();
    return write_at(index, header_.index);
}

result<void> snapshot_writer::finish(const shared_store* store, const handover_nonce& nonce) {
    header_.has_volume = store != nullptr;
    if (store != nullptr)
        header_.volume = store->volume();
    header_.nonce = nonce;
    if (const result<void> r = write_at(encode(header_), 0); !r)
        return r;
    if (::fsync(file_.get()) != 0)
        return from_errno("save: fsync of PATH.part");
    if (::rename(temporary_.c_str(), path_.c_str()) != 0)
        return from_errno("save: giving PATH.part its name");
    file_ = {};
    const result<void> durable = sync_directory();
    if (!durable)
        (void)::unlink(path_.c_str()); // its volume, if it has one, is taken back
    return durable;
}

result<void> snapshot_writer::write_at(std::span<const std::byte> bytes, std::uint64_t offset) {
    while (!bytes.empty()) {
        const ssize_t n =
            ::pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return from_errno("save: writing PATH.part");
        bytes = bytes.subspan(static_cast<std::size_t>(n));
        offset += static_cast<std::uint64_t>(n);
    }
    return {};
}

result<void> snapshot_writer::sync_directory() const {
    std::string path = path_;
    const file_descriptor directory(::open(::dirname(path.data()), O_RDONLY | O_CLOEXEC));
    if (!directory || ::fsync(directory.get()) != 0)
        return from_errno("save: fsync of PATH's directory");
    return {};
}

} // namespace uffdmm
