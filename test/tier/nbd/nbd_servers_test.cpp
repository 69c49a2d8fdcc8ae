// SPDX-License-Identifier: BSD-3-Clause

/// What an NBD tier promises, on every server that the tests know.

#include "tier/nbd/nbd_rig.hpp"

using namespace uffdmm;
using namespace uffdmm::test;

namespace {

constexpr std::uintmax_t disk_size = 64 << 20;

/// Through a crash of the server, with reads under way.
void comes_back(nbd_server& server) {
    shard_rig rig(make_nbd_tier_factory(server.config()));
    const auto all = keys(0, 1000);
    const auto slots = rig.stored(all);
    rig.require_contents(slots, all);
    server.kill();
    loads_under_way loads(rig, slots);
    wait_until_reachable(rig, false);
    CHECK(loads.all(tier_status::pending));
    const std::size_t before = rig.client.loads;
    server.start();
    rig.finish(rig.client.stores, before + slots.size());
    CHECK(loads.hold(all));
}

} // namespace

TEST_CASE("nbd servers: pages come back from each, after it was killed and started again") {
    const auto software = GENERATE(nbdkit, qemu_nbd, storage_daemon);
    UFFDMM_NEEDS_NBD_SERVER(software);
    INFO(software.program);
    nbd_server server(software, disk_size);
    comes_back(server);
}

TEST_CASE("nbd servers: the same with TLS and a pre-shared key, which each insists on") {
    const auto software = GENERATE(nbdkit, qemu_nbd, storage_daemon);
    UFFDMM_NEEDS_NBD_SERVER(software);
    INFO(software.program);
    temporary_directory keys;
    write_key(keys.file("keys.psk"), 'a');
    nbd_server server(software, disk_size, keys.path());
    comes_back(server);
    nbd_tier_config config = server.config();
    config.tls_psk_file = write_key(keys.file("wrong"), 'b');
    CHECK(refusal_of(config).find("no connection") != std::string::npos);
    config.tls_psk_file.clear();
    config.uri = "nbd+unix:///?socket=" + server.socket();
    CHECK_FALSE(refusal_of(config).empty());
}

TEST_CASE("nbd servers: each has several connections, forces unit access and trims") {
    const auto software = GENERATE(nbdkit, qemu_nbd, storage_daemon);
    UFFDMM_NEEDS_NBD_SERVER(software);
    INFO(software.program);
    nbd_server server(software, disk_size);
    nbd_tier_config config = server.config();
    config.durable = true;
    shard_rig rig(make_nbd_tier_factory(config));
    const auto all = keys(0, 500);
    const auto slots = rig.stored(all);
    rig.require_contents(slots, all);
    rig.release(slots);
    rig.around.settle();
    CHECK(rig.tier().usage().pages == 0);
    const auto others = keys(1000, 500);
    rig.require_contents(rig.stored(others), others);
}
