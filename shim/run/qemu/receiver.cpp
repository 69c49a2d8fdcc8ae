// SPDX-License-Identifier: BSD-3-Clause
#include "run/qemu/receiver.hpp"

#include <algorithm>
#include <array>

#include "run/inside.hpp"
#include "run/managed_space.hpp"

namespace preload::qemu {
namespace {

constexpr const char* damaged = "the stream is damaged";

using page_contents = std::array<std::byte, page>;

} // namespace

std::string receiver::load(QEMUFile* file) {
    while (true) {
        const record_head head = decode_head(qemu_.qemu_get_be64(file));
        if (qemu_.qemu_file_get_error(file) != 0)
            return "the connection is broken";
        if (head.type == record_type::end)
            return flush();
        if (std::string wrong = load_record(file, head); !wrong.empty())
            return wrong;
    }
}

std::string receiver::load_record(QEMUFile* file, const record_head& head) {
    switch (head.type) {
    case record_type::announcement:
        return load_announcement(file);
    case record_type::zeros:
    case record_type::pattern:
    case record_type::contents:
    case record_type::located:
        return load_page(file, head);
    case record_type::offered:
        if (owner_.now() != handover::side::announced)
            return damaged;
        owner_.received();
        return {};
    default:
        return damaged;
    }
}

std::string receiver::load_announcement(QEMUFile* file) {
    uffdmm::encoded_volume_name volume{};
    uffdmm::handover_nonce nonce{};
    qemu_.qemu_get_buffer(file, volume.data(), volume.size());
    qemu_.qemu_get_buffer(file, nonce.data(), nonce.size());
    const int count = qemu_.qemu_get_byte(file);
    std::vector<announced_block> announced(static_cast<std::size_t>(count));
    for (announced_block& some : announced) {
        std::array<char, 256> name{};
        if (qemu_.qemu_get_counted_string(file, name.data()) == 0)
            return damaged;
        some.name = name.data();
        some.bytes = qemu_.qemu_get_be64(file);
    }
    if (qemu_.qemu_file_get_error(file) != 0)
        return "the connection is broken";
    std::string wrong = begin(announced, volume, nonce);
    if (wrong.empty())
        return {};
    return "the guest's memory is sent by locations, which cannot be used here: " + wrong +
           ". Both sides need a tier in the same store";
}

std::string receiver::begin(const std::vector<announced_block>& announced,
                            const uffdmm::encoded_volume_name& volume,
                            const uffdmm::handover_nonce& nonce) {
    give_up();
    for (const announced_block& some : announced) {
        moving_block here = find_block(qemu_, some.name.c_str());
        if (here.managed == nullptr || here.bytes != some.bytes)
            return "block " + some.name + " of that size is not managed";
        const inside_scope library;
        auto target = here.managed->begin_target();
        if (!target)
            return std::string(target.failure().operation);
        blocks_.push_back({std::move(here), std::move(target).value()});
    }
    const inside_scope library;
    const auto name = uffdmm::decode_volume_name(volume);
    uffdmm::shared_store* const store =
        blocks_.empty() ? nullptr : blocks_.front().what.managed->store();
    if (!name)
        return damaged;
    if (store == nullptr)
        return "no tier is in a store that other hosts see";
    return owner_.attach(*store, name.value(), nonce);
}

std::string receiver::load_page(QEMUFile* file, const record_head& head) {
    const record_type type = head.type;
    page_contents contents;
    uffdmm::encoded_location wire{};
    std::uint64_t length = page;
    if (type == record_type::zeros) {
        length = qemu_.qemu_get_be64(file);
    } else if (type == record_type::pattern) {
        const std::uint64_t word = qemu_.qemu_get_be64(file);
        auto* const words = reinterpret_cast<std::uint64_t*>(contents.data());
        std::fill_n(words, page / sizeof word, word);
    } else if (type == record_type::contents) {
        qemu_.qemu_get_buffer(file, contents.data(), contents.size());
    } else {
        qemu_.qemu_get_buffer(file, wire.data(), wire.size());
    }
    if (qemu_.qemu_file_get_error(file) != 0)
        return "the connection is broken";
    if (head.block >= blocks_.size())
        return damaged;
    const inside_scope library;
    uffdmm::migration_target& target = *blocks_[head.block].target;
    uffdmm::result<void> done;
    if (type == record_type::zeros) {
        done = target.zero(head.offset, length);
    } else if (type == record_type::located) {
        const auto place = uffdmm::decode_location(wire);
        done = place ? target.adopt(head.offset, place.value()) : place.failure();
    } else {
        done = target.put(head.offset, contents, uffdmm::warmth::cold);
    }
    return done ? std::string() : std::string("a page: ") + done.failure().operation;
}

std::string receiver::flush() {
    const inside_scope library;
    for (const block& some : blocks_)
        if (const auto done = some.target->flush(); !done)
            return std::string("pages: ") + done.failure().operation;
    return {};
}

void receiver::end() {
    if (owner_.now() == handover::side::announced)
        return give_up();
    const inside_scope library;
    blocks_.clear();
}

/// The memory goes back to what it was before anything came; the volume is its owner's alone.
void receiver::give_up() {
    const inside_scope library;
    for (block& some : blocks_) {
        some.target.reset();
        (void)some.what.managed->discard(0, some.what.bytes);
    }
    blocks_.clear();
    owner_.abandon();
}

} // namespace preload::qemu
