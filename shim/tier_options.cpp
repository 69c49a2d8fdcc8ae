// SPDX-License-Identifier: BSD-3-Clause
#include "tier_options.hpp"

#include "option_value.hpp"
#include "sized_struct.hpp"
#include "tier_adapter.hpp"

namespace uffdmm::shim {
namespace {

static_assert(UFFDMM_LZ4 == static_cast<int>(codec::lz4) &&
              UFFDMM_ZSTD == static_cast<int>(codec::zstd));

/// More than any manager can have, so that a rubbish count reads no rubbish memory.
constexpr std::size_t most_tiers = 64;

void check_kind(const std::string& path, std::int32_t kind) {
    check_enum(path, kind,
               {{UFFDMM_TIER_RAM, "UFFDMM_TIER_RAM"},
                {UFFDMM_TIER_FILE, "UFFDMM_TIER_FILE"},
                {UFFDMM_TIER_CUSTOM, "UFFDMM_TIER_CUSTOM"},
                {UFFDMM_TIER_NBD, "UFFDMM_TIER_NBD"}});
}

/// Of every kind at once: the options of other kinds are ignored. What a file and an export both
/// have is a file's.
uffdmm_tier_options tier_defaults() {
    const ram_tier_config ram;
    const file_tier_config file;
    const nbd_tier_config nbd;
    uffdmm_tier_options o{};
    o.struct_size = sizeof o;
    o.compression = static_cast<std::int32_t>(ram.compression);
    o.level = ram.level;
    o.reject_percent = ram.reject_percent;
    o.keep = file.keep ? 1 : 0;
    o.preallocate = file.preallocate ? 1 : 0;
    o.discard = file.discard ? 1 : 0;
    o.queue_depth = file.queue_depth;
    o.shared = file.shared ? 1 : 0;
    o.request_timeout = static_cast<std::uint64_t>(nbd.request_timeout.count());
    o.lost_after = static_cast<std::uint64_t>(nbd.lost_after.count());
    o.connections = nbd.connections;
    o.durable = nbd.durable ? 1 : 0;
    return o;
}

uffdmm_tier_options tier_defaults(std::int32_t kind) {
    uffdmm_tier_options o = tier_defaults();
    o.kind = kind;
    if (kind == UFFDMM_TIER_NBD) {
        const nbd_tier_config nbd;
        o.discard = nbd.discard ? 1 : 0;
        o.queue_depth = nbd.queue_depth;
    }
    return o;
}

ram_tier_config ram_config(const uffdmm_tier_options& o, const std::string& path) {
    check_enum(path + ".compression", o.compression,
               {{UFFDMM_LZ4, "UFFDMM_LZ4"}, {UFFDMM_ZSTD, "UFFDMM_ZSTD"}});
    ram_tier_config config;
    config.name = to_text(o.name, config.name);
    config.size = o.size;
    config.compression = static_cast<codec>(o.compression);
    config.level = o.level;
    config.reject_percent = o.reject_percent;
    return config;
}

file_tier_config file_config(const uffdmm_tier_options& o, const std::string& path) {
    require(o.path, (path + ".path").c_str());
    file_tier_config config;
    config.name = to_text(o.name, config.name);
    config.path = o.path;
    config.size = o.size;
    config.keep = to_flag(path + ".keep", o.keep);
    config.preallocate = to_flag(path + ".preallocate", o.preallocate);
    config.discard = to_flag(path + ".discard", o.discard);
    config.queue_depth = o.queue_depth;
    config.shared = to_flag(path + ".shared", o.shared);
    return config;
}

nbd_tier_config nbd_config(const uffdmm_tier_options& o, const std::string& path) {
    require(o.uri, (path + ".uri").c_str());
    nbd_tier_config config;
    config.name = to_text(o.name, config.name);
    config.uri = o.uri;
    config.size = o.size;
    config.shared_table = to_text(o.shared_table, config.shared_table);
    config.tls_psk_file = to_text(o.tls_psk_file, config.tls_psk_file);
    config.connections = o.connections;
    config.queue_depth = o.queue_depth;
    config.discard = to_flag(path + ".discard", o.discard);
    config.durable = to_flag(path + ".durable", o.durable);
    config.request_timeout = to_duration<std::chrono::milliseconds>(o.request_timeout);
    config.lost_after = to_duration<std::chrono::milliseconds>(o.lost_after);
    return config;
}

custom_tier_config custom_config(const uffdmm_tier_options& o, const user_data& data,
                                 const std::string& path) {
    const std::string at = path + ".ops";
    require(o.ops, at.c_str());
    const auto ops = read_known(o.ops, uffdmm_tier_ops{}, at);
    refuse_unknown_tail(o.ops, at);
    check_tier_ops(ops, at);
    custom_tier_config config;
    config.name = to_text(o.name, config.name);
    config.make = c_tier_factory(ops, config.name, data);
    return config;
}

tier_config to_config(const uffdmm_tier_options& o, const user_data& data,
                      const std::string& path) {
    check_kind(path + ".kind", o.kind);
    check_reserved(path + ".reserved", o.reserved);
    if (o.kind == UFFDMM_TIER_RAM)
        return ram_config(o, path);
    if (o.kind == UFFDMM_TIER_FILE)
        return file_config(o, path);
    if (o.kind == UFFDMM_TIER_NBD)
        return nbd_config(o, path);
    return custom_config(o, data, path);
}

std::string path_of(std::size_t index) {
    return "tiers[" + std::to_string(index) + "]";
}

const uffdmm_tier_options* after(const uffdmm_tier_options* tier, std::size_t stride) {
    return reinterpret_cast<const uffdmm_tier_options*>(reinterpret_cast<const char*>(tier) +
                                                        stride);
}

} // namespace

tier_list::tier_list(const uffdmm_tier_options* first, std::size_t count) noexcept {
    try {
        take_over(first, count);
    } catch (...) {
        problem_ = std::current_exception();
    }
}

void tier_list::take_over(const uffdmm_tier_options* tier, std::size_t count) {
    if (count == 0)
        return;
    require(tier, "tiers");
    if (count > most_tiers)
        refuse("tier_count: " + std::to_string(count) + " is not allowed; allowed: at most " +
               std::to_string(max_tiers - 1));
    items_.reserve(count);
    const std::size_t stride = struct_size_of(tier);
    for (std::size_t i = 0; i < count; ++i, tier = after(tier, stride)) {
        if (struct_size_of(tier) != stride)
            refuse(path_of(i) + ".struct_size: " + std::to_string(struct_size_of(tier)) +
                   " is not allowed; allowed: that of tiers[0], " + std::to_string(stride));
        const auto known = read_known(tier, tier_defaults(), path_of(i));
        items_.push_back({tier, known, own(known.user_data, known.free_user_data)});
    }
}

std::vector<tier_config> tier_list::configs() const {
    if (problem_)
        std::rethrow_exception(problem_);
    std::vector<tier_config> configs;
    for (std::size_t i = 0; i < items_.size(); ++i) {
        refuse_unknown_tail(items_[i].given, path_of(i));
        configs.push_back(to_config(items_[i].known, items_[i].data, path_of(i)));
    }
    return configs;
}

} // namespace uffdmm::shim

using namespace uffdmm::shim;

int uffdmm_tier_options_init(struct uffdmm_tier_options* options, size_t struct_size,
                             int kind) noexcept {
    return guarded(__func__, [&] {
        require(options, "options");
        check_kind("kind", kind);
        write_struct(tier_defaults(kind), struct_size, options, "options");
        return 0;
    });
}
