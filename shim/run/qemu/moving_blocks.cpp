// SPDX-License-Identifier: BSD-3-Clause
#include "run/qemu/moving_blocks.hpp"

#include "run/inside.hpp"
#include "run/managed_space.hpp"

namespace preload::qemu {
namespace {

moving_block describe(const calls& qemu, RAMBlock* block) {
    moving_block found;
    found.host = static_cast<std::byte*>(qemu.qemu_ram_get_host_addr(block));
    found.bytes = qemu.qemu_ram_get_used_length(block);
    if (!qemu.qemu_ram_is_migratable(block))
        return found;
    const inside_scope library;
    found.name = qemu.qemu_ram_get_idstr(block);
    if (managed_space* const s = space(); s != nullptr && !s->forgotten())
        found.managed = s->region_at(found.host, found.bytes);
    return found;
}

constexpr std::size_t most_blocks = 255; ///< that the stream can number

struct search {
    const calls& qemu;
    std::vector<moving_block>& found;
};

int add(RAMBlock* block, void* data) {
    auto* const here = static_cast<search*>(data);
    moving_block described = describe(here->qemu, block);
    if (described.managed == nullptr)
        return 0;
    const inside_scope library;
    here->found.push_back(std::move(described));
    return 0;
}

} // namespace

std::vector<moving_block> moving_blocks(const calls& qemu, std::string& why) {
    std::vector<moving_block> found;
    search here{qemu, found};
    (void)qemu.qemu_ram_foreach_block(add, &here);
    const inside_scope library;
    managed_space* const s = space();
    if (found.empty())
        why = "no RAM of the guest is managed";
    else if (found.size() > most_blocks)
        why = "RAM of the guest has too many blocks";
    else if (s->areas_in_use() != found.size())
        why = "other memory than RAM of the guest is managed, too (--verbose tells which; --match "
              "leaves it alone)";
    else if (found.front().managed->store() == nullptr)
        why = "no tier is in a store that other hosts see";
    if (!why.empty())
        found.clear();
    return found;
}

moving_block find_block(const calls& qemu, const char* name) {
    RAMBlock* const block = qemu.qemu_ram_block_by_name(name);
    return block == nullptr ? moving_block{} : describe(qemu, block);
}

} // namespace preload::qemu
