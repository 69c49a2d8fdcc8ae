// SPDX-License-Identifier: BSD-3-Clause
#include <filesystem>
#include <fstream>

#include <sys/stat.h>

#include "support/catch.hpp"
#include "tier/file/file_rig.hpp"
#include "tier/file/loop_device.hpp"

namespace {

using namespace uffdmm;
using namespace uffdmm::test;
using Catch::Matchers::Contains;

constexpr byte_count mib = 1 << 20;

/// A device of `size` over a sparse file.
struct device_fixture {
    temporary_directory directory;
    std::string backing = directory.file("disk");
    std::unique_ptr<loop_device> loop;

    explicit device_fixture(byte_count size, bool read_only = false) {
        std::ofstream{backing};
        std::filesystem::resize_file(backing, size);
        loop = std::make_unique<loop_device>(backing, read_only);
        if (!loop->valid())
            WARN("skipped: loop devices are not available");
    }
    [[nodiscard]] bool missing() const { return !loop->valid(); }
    [[nodiscard]] blkcnt_t blocks() const {
        struct stat st {};
        REQUIRE(::stat(backing.c_str(), &st) == 0);
        return st.st_blocks;
    }
};

TEST_CASE("file_tier on a block device: size 0 is all of it, and pages are read back") {
    const device_fixture device(16 * mib + 512); // the rest of a page is not used
    if (device.missing())
        return;
    const auto store = std::make_shared<file_store>(file_config(device.loop->path(), 0));
    shard_rig shard(store);
    REQUIRE(shard.tier().usage().capacity_bytes == 16 * mib);
    const auto slots = shard.stored(keys(0, 4096));
    REQUIRE(shard.store({1})[0].status == tier_status::full);
    shard.require_contents(slots, keys(0, 4096));
}

TEST_CASE("file_tier on a block device: freed slots are trimmed") {
    const device_fixture device(16 * mib);
    if (device.missing())
        return;
    file_tier_config config = file_config(device.loop->path(), 0);
    config.preallocate = true; // means nothing here
    const auto store = std::make_shared<file_store>(config);
    shard_rig shard(store);
    const auto slots = shard.stored(keys(0, 2048));
    REQUIRE(store->discards());
    shard.release({slots.begin(), slots.begin() + 1024});
    shard.around.settle();
    if (!store->discards()) {
        WARN("skipped: this device cannot discard");
        return;
    }
    REQUIRE(device.blocks() <= 1024 * 8 + 512);
    shard.require_contents({slots.begin() + 1024, slots.end()}, keys(1024, 1024));
}

TEST_CASE("file_tier on a block device: a device in use is refused") {
    const device_fixture device(mib);
    if (device.missing())
        return;
    const file_store store(file_config(device.loop->path(), 0));
    REQUIRE_THAT(refusal_of(file_config(device.loop->path(), 0)), Contains("is in use"));
}

TEST_CASE("file_tier on a block device: wrong sizes are refused") {
    const device_fixture device(mib);
    if (device.missing())
        return;
    const std::string path = device.loop->path();
    REQUIRE_THAT(refusal_of(file_config(path, 2 * mib)),
                 Contains("tiers[].size") && Contains("more than the device has, 1048576 bytes"));
    REQUIRE_THAT(refusal_of(file_config(path, 100)),
                 Contains("tiers[].size") && Contains("at least 4096"));
    REQUIRE(refusal_of(file_config(path, mib / 2)).empty());
}

TEST_CASE("file_tier on a block device: one without a medium is refused") {
    device_fixture device(mib);
    if (device.missing())
        return;
    device.loop->detach();
    REQUIRE_THAT(refusal_of(file_config(device.loop->path(), 0)), Contains("tiers[].path"));
}

TEST_CASE("file_tier on a block device: a read-only one is refused") {
    const device_fixture device(mib, true);
    if (device.missing())
        return;
    REQUIRE_THAT(refusal_of(file_config(device.loop->path(), 0)),
                 Contains("tiers[].path") && Contains("read-only"));
}

TEST_CASE("file_tier on a block device: io_error_on_read and io_error_on_write of a medium that "
          "shrank") {
    const device_fixture device(4 * mib);
    if (device.missing())
        return;
    const auto store = std::make_shared<file_store>(file_config(device.loop->path(), 0));
    shard_rig shard(store);
    const auto slots = shard.stored(keys(0, 512));
    std::filesystem::resize_file(device.backing, mib);
    REQUIRE(::ioctl(device.loop->fd(), LOOP_SET_CAPACITY, 0) == 0);
    const auto statuses = shard.load(slots, keys(0, 512));
    for (std::size_t i = 0; i < 512; ++i)
        REQUIRE((statuses[i] == tier_status::ok) == (i < 256));
    REQUIRE(shard.store({1})[0].status != tier_status::ok);
}

} // namespace
