// SPDX-License-Identifier: BSD-3-Clause

/// What an NBD tier refuses at set-up, and TLS.

#include "tier/nbd/nbd_rig.hpp"

using namespace uffdmm;
using namespace uffdmm::test;

namespace {

constexpr byte_count mib = byte_count{1} << 20;

bool names(const std::string& message, const std::string& key, const std::string& what) {
    INFO(message);
    return message.find(key) == 0 && message.find(what) != std::string::npos;
}

} // namespace

TEST_CASE("nbd_tier: a server that is not there is refused by name") {
    temporary_directory directory;
    nbd_tier_config config;
    config.uri = "nbd+unix:///?socket=" + directory.file("none");
    const std::string message = refusal_of(config);
    CHECK(names(message, "tiers[].uri", config.uri));
    CHECK(names(message, "tiers[].uri", "No such file or directory"));
    config.uri = "nbd://127.0.0.1:1/";
    CHECK(names(refusal_of(config), "tiers[].uri", "refused"));
}

TEST_CASE("nbd_tier: an export that cannot be swapped to is refused with the reason") {
    UFFDMM_NEEDS_NBDKIT();
    struct wrong {
        std::vector<std::string> server;
        std::string key;
        std::string why;
    };
    const wrong w =
        GENERATE(wrong{{"--readonly", "memory", "64M"}, "tiers[].uri", "read-only"},
                 wrong{{"memory", "1K"}, "tiers[].uri", "at least 4096 bytes"},
                 wrong{{"memory", "0"}, "tiers[].uri", "at least 4096 bytes"},
                 wrong{{"--filter=blocksize-policy", "memory", "64M", "blocksize-minimum=8192",
                        "blocksize-preferred=8192", "blocksize-maximum=1M"},
                       "tiers[].uri",
                       "blocks of 8192 bytes"});
    nbd_server server(w.server);
    CHECK(names(refusal_of(server.config()), w.key, w.why));
}

TEST_CASE("nbd_tier: a size that the export does not have is refused") {
    UFFDMM_NEEDS_NBDKIT();
    nbd_server server({"memory", "64M"});
    nbd_tier_config config = server.config();
    config.size = 65 * mib;
    CHECK(names(refusal_of(config), "tiers[].size", "67108864 bytes"));
    config.size = 64 * mib;
    CHECK(refusal_of(config).empty());
}

TEST_CASE("nbd_tier: an export name that the server does not have is refused") {
    UFFDMM_NEEDS_NBDKIT();
    nbd_server server(
        {"--filter=exportname", "memory", "64M", "exportname=swap", "exportname-strict=true"});
    nbd_tier_config config = server.config();
    config.uri = "nbd+unix:///other?socket=" + server.socket();
    CHECK(names(refusal_of(config), "tiers[].uri", "other"));
    config.uri = "nbd+unix:///swap?socket=" + server.socket();
    CHECK(refusal_of(config).empty());
}

TEST_CASE("nbd_tier: durable is refused where the server cannot do it") {
    UFFDMM_NEEDS_NBDKIT();
    nbd_server server({"eval", "get_size=echo 67108864", "can_write=exit 0", "can_fua=echo none",
                       "pread=head -c $3 /dev/zero", "pwrite=cat >/dev/null"});
    nbd_tier_config config = server.config();
    CHECK(refusal_of(config).empty());
    config.durable = true;
    CHECK(names(refusal_of(config), "tiers[].durable", "FUA"));
}

TEST_CASE("nbd_tier: with TLS and a pre-shared key pages come back, after a restart as well") {
    UFFDMM_NEEDS_NBDKIT();
    temporary_directory directory;
    const std::string key = write_key(directory.file("keys"), 'a');
    std::vector<std::string> arguments = nbd_server::file(directory.file("disk"), 64 << 20);
    arguments.insert(arguments.begin(), {"--tls=require", "--tls-psk=" + key});
    nbd_server server(arguments);
    nbd_tier_config config = server.config();
    config.uri = "nbds+unix://alice@/?socket=" + server.socket();
    config.tls_psk_file = key;
    shard_rig rig(make_nbd_tier_factory(config));
    const auto all = keys(0, 1000);
    const auto slots = rig.stored(all);
    rig.require_contents(slots, all);
    server.kill();
    loads_under_way loads(rig, slots);
    server.start();
    rig.finish(1000, 2000);
    CHECK(loads.hold(all));
}

TEST_CASE("nbd_tier: TLS is refused without the right key, a plain URI where TLS is required") {
    UFFDMM_NEEDS_NBDKIT();
    temporary_directory directory;
    const std::string key = write_key(directory.file("keys"), 'a');
    nbd_server server({"--tls=require", "--tls-psk=" + key, "memory", "64M"});
    nbd_tier_config config = server.config();
    CHECK(names(refusal_of(config), "tiers[].uri", "TLS"));
    config.uri = "nbds+unix://alice@/?socket=" + server.socket();
    config.tls_psk_file = write_key(directory.file("wrong"), 'b');
    CHECK(names(refusal_of(config), "tiers[].uri", "no connection"));
    config.tls_psk_file = directory.file("missing");
    CHECK(names(refusal_of(config), "tiers[].tls_psk_file", "No such file"));
    config.tls_psk_file = key;
    CHECK(refusal_of(config).empty());
}
