// SPDX-License-Identifier: BSD-3-Clause
#include "tier/file/slot_name.hpp"

#include "support/catch.hpp"
#include "tier/file/extent_pool.hpp"

namespace {

using namespace uffdmm;

constexpr std::uint32_t file_sizes[] = {1, (1u << 24) - 1, 1u << 24, extent_pool::max_slots};

TEST_CASE("slot_name: the number and the generation come back, and no name is no_slot") {
    const std::uint32_t slots = GENERATE(from_range(std::begin(file_sizes), std::end(file_sizes)));
    const slot_naming naming(slots);
    const std::uint32_t generation = slot_naming::generations - 1;
    const slot_id name = naming.with_checksum(naming.name(slots - 1, generation), UINT32_MAX);
    CHECK(naming.number_of(name) == slots - 1);
    CHECK(naming.generation_of(name) == generation);
    CHECK(name.value < no_slot.value);
    CHECK(naming.number_of(no_slot) >= slots);
}

TEST_CASE("slot_name: every bit of a 32-bit checksum is kept, in the name or the record") {
    const std::uint32_t slots = GENERATE(from_range(std::begin(file_sizes), std::end(file_sizes)));
    const slot_naming naming(slots);
    for (const std::uint32_t checksum : {0u, UINT32_MAX, 0xdeadbeefu}) {
        const std::uint32_t record = naming.record(5, checksum);
        const slot_id name = naming.with_checksum(naming.name(0, 5), checksum);
        CHECK(slot_naming::generation_in(record) == 5);
        CHECK(naming.checksum(record, name) == checksum);
        CHECK(std::uint64_t{record} >> (8 * naming.record_bytes()) == 0);
    }
}

TEST_CASE("slot_name: a record has three bytes in files below 64 GiB, else four") {
    CHECK(slot_naming((1u << 24) - 1).record_bytes() == 3);
    CHECK(slot_naming(1u << 24).record_bytes() == 4);
}

} // namespace
