// SPDX-License-Identifier: BSD-3-Clause
#include "run/qemu/sender.hpp"

#include <algorithm>
#include <chrono>

#include "run/inside.hpp"
#include "run/managed_space.hpp"

namespace preload::qemu {
namespace {

using uffdmm::page_kind;

/// Of a page that goes as a location.
constexpr std::uint64_t record_bytes = 8 + uffdmm::location_bytes;
constexpr int read_tries = 3;
constexpr std::chrono::milliseconds at_a_time{50};

bool is_out(page_kind kind) noexcept {
    return kind == page_kind::untouched || kind == page_kind::same_filled ||
           kind == page_kind::swapped || kind == page_kind::located;
}

} // namespace

sender::sender(const calls& qemu)
    : qemu_(qemu), contents_(uffdmm::mapping::anonymous(window * page)), records_(window),
      locations_(window) {
}

std::string sender::begin(std::vector<moving_block> blocks) {
    const inside_scope library;
    sent_ = {};
    for (moving_block& moving : blocks) {
        uffdmm::migration_source_options options;
        options.locations = true;
        auto source = moving.managed->begin_source(options);
        if (!source) {
            blocks_.clear();
            return "block " + moving.name + ": " + source.failure().operation;
        }
        const std::size_t pages = moving.bytes / page;
        blocks_.push_back(
            {std::move(moving), std::move(source).value(), page_marks(pages), page_marks(pages)});
    }
    return {};
}

void sender::end(bool leases_stay) {
    const inside_scope library;
    for (const block& some : blocks_)
        if (leases_stay)
            (void)some.source->complete();
    blocks_.clear(); // which cancels
}

// ---- taking pages out of QEMU's stream ----------------------------------------------------------

void sender::take_pages() {
    for (block& some : blocks_) {
        std::vector<uffdmm::record_run> runs;
        {
            const inside_scope library;
            if (auto walked = some.source->walk(0, some.what.bytes); walked)
                runs = std::move(walked).value();
        }
        for (const uffdmm::record_run& run : runs)
            if (is_out(run.what.kind))
                take(some, run.offset, run.length);
    }
}

/// The pages of the range that were not taken before.
void sender::take(block& from, std::uint64_t offset, std::uint64_t length) {
    const std::size_t end = (offset + length) / page;
    for (std::size_t at = offset / page; at < end;) {
        if (from.taken.has(at)) {
            ++at;
            continue;
        }
        const std::size_t first = at;
        for (; at < end && !from.taken.has(at); ++at) {
            from.taken.set(at);
            from.pending.set(at);
        }
        qemu_.qemu_guest_free_page_hint(from.what.host + first * page, (at - first) * page);
    }
}

// ---- sending them -------------------------------------------------------------------------------

std::uint64_t sender::pending_bytes() const noexcept {
    std::uint64_t pages = 0;
    for (const block& some : blocks_)
        pages += some.pending.count();
    return pages * record_bytes;
}

std::string sender::send_pending(QEMUFile* file, bool all) {
    const auto end = std::chrono::steady_clock::now() + at_a_time;
    for (std::size_t number = 0; number < blocks_.size(); ++number) {
        const page_marks& pending = blocks_[number].pending;
        std::size_t first = 0;
        while ((first = pending.next(first)) != page_marks::none) {
            if (!all &&
                (qemu_.migration_rate_exceeded(file) || std::chrono::steady_clock::now() > end))
                return {};
            if (qemu_.qemu_file_get_error(file) != 0)
                return "the connection is broken";
            if (std::string wrong = send_window(file, number, first); !wrong.empty())
                return wrong;
        }
    }
    return {};
}

std::string sender::send_window(QEMUFile* file, std::size_t number, std::size_t first) {
    block& from = blocks_[number];
    const std::size_t count = std::min<std::size_t>(window, from.what.bytes / page - first);
    if (const auto looked = look(from, first, count); !looked)
        return std::string("pages cannot be read: ") + looked.failure().operation;
    for (std::size_t index = 0; index < count; ++index) {
        if (!from.pending.has(first + index))
            continue;
        if (!send_page(file, number, first + index, index))
            return "the contents of a page are lost, or cannot be read";
        from.pending.clear(first + index);
    }
    flush_zeros(file, number);
    return {};
}

/// A tier that fails is asked again.
uffdmm::result<void> sender::look(block& from, std::size_t first, std::size_t count) {
    const inside_scope library;
    uffdmm::result<void> looked;
    for (int tries = 0; tries < read_tries; ++tries) {
        looked = from.source->look(first * page, count * page,
                                   {{records_.data(), count}, contents_.data(), locations_.data()});
        if (!looked ||
            std::none_of(records_.begin(), records_.begin() + static_cast<std::ptrdiff_t>(count),
                         [](const uffdmm::page_record& record) {
                             return record.kind == page_kind::unreadable;
                         }))
            break;
    }
    return looked;
}

void sender::head(QEMUFile* file, record_type type, std::size_t number, std::uint64_t offset) {
    qemu_.qemu_put_be64(file, encode({type, static_cast<std::uint8_t>(number), offset}));
}

/// Runs of zeros go as one record, before what follows them.
void sender::flush_zeros(QEMUFile* file, std::size_t number) {
    if (zeros_.length == 0)
        return;
    head(file, record_type::zeros, number, zeros_.offset);
    qemu_.qemu_put_be64(file, zeros_.length);
    zeros_.length = 0;
}

bool sender::send_page(QEMUFile* file, std::size_t number, std::size_t at, std::size_t index) {
    const uffdmm::page_record& record = records_[index];
    const std::uint64_t offset = at * page;
    if (record.kind == page_kind::untouched) {
        if (zeros_.offset + zeros_.length != offset)
            flush_zeros(file, number);
        if (zeros_.length == 0)
            zeros_.offset = offset;
        zeros_.length += page;
        ++sent_.zeros;
        return true;
    }
    flush_zeros(file, number);
    if (record.kind == page_kind::same_filled) {
        head(file, record_type::pattern, number, offset);
        qemu_.qemu_put_be64(file, record.pattern);
        ++sent_.patterns;
    } else if (record.kind == page_kind::located) {
        head(file, record_type::located, number, offset);
        const uffdmm::encoded_location wire = encode(locations_[index]);
        qemu_.qemu_put_buffer(file, wire.data(), wire.size());
        ++sent_.located;
    } else if (record.kind == page_kind::swapped) {
        head(file, record_type::contents, number, offset);
        qemu_.qemu_put_buffer(file, contents_.data() + index * page, page);
        ++sent_.swapped;
    } else if (record.kind == page_kind::resident) {
        head(file, record_type::contents, number, offset);
        qemu_.qemu_put_buffer(file, blocks_[number].what.host + offset, page);
        ++sent_.resident;
    } else {
        return false;
    }
    return true;
}

} // namespace preload::qemu
