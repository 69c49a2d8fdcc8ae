// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Every key of the configuration. A new option is a member in uffdmm/config.hpp and a line here;
/// reading, writing and range checks follow. Names are those of the members.

#include <tuple>

#include "config/key.hpp"
#include "registry/registry.hpp"
#include "uffdmm/config.hpp"

namespace uffdmm {

inline constexpr byte_count kibibyte = 1024;
inline constexpr byte_count mebibyte = 1024 * kibibyte;
inline constexpr byte_count tebibyte = 1024 * (1024 * mebibyte);

/// keys<T>::all: a tuple of the keys of T.
template <typename Object>
struct keys;

template <>
struct keys<manager_config> {
    using self = manager_config;
    static constexpr std::tuple all{
        size_key<self>{"limit", &self::limit, {.low = least_limit}, true},
        number_key<self, unsigned>{"workers", &self::workers, 1, 64},
        number_key<self, unsigned>{"staged_percent", &self::staged_percent, 0, 50},
        number_key<self, unsigned>{"low_watermark_permille", &self::low_watermark_permille, 1, 249},
        number_key<self, unsigned>{"high_watermark_permille", &self::high_watermark_permille, 2,
                                   250},
        duration_key<self, std::chrono::microseconds>{"spin", &self::spin, std::chrono::seconds(1)},
        duration_key<self, std::chrono::milliseconds>{"read_retry_time", &self::read_retry_time,
                                                      std::chrono::minutes(10)},
        enum_key<self, on_swap_full, 2>{"when_full", &self::when_full, {"exceed", "wait"}},
        enum_key<self, thread_placement, 2>{"placement", &self::placement, {"scheduler", "gather"}},
    };
};

template <>
struct keys<ram_tier_config> {
    using self = ram_tier_config;
    static constexpr std::tuple all{
        text_key<self>{"name", &self::name, 1, 64},
        size_key<self>{"size",
                       &self::size,
                       {.low = 4 * kibibyte, .or_zero = true, .zero_means = "half of the limit"}},
        enum_key<self, codec, 2>{"compression", &self::compression, {"lz4", "zstd"}},
        number_key<self, int>{"level", &self::level, 1, 19},
        number_key<self, unsigned>{"reject_percent", &self::reject_percent, 1, 100},
    };
};

template <>
struct keys<file_tier_config> {
    using self = file_tier_config;
    static constexpr std::tuple all{
        text_key<self>{"name", &self::name, 1, 64},
        text_key<self>{"path", &self::path, 1, 4095, true, true},
        size_key<self>{"size",
                       &self::size,
                       {.low = 4 * kibibyte,
                        .or_zero = true,
                        .zero_means = "all of a block device or shared store"}},
        flag_key<self>{"shared", &self::shared},
        flag_key<self>{"keep", &self::keep},
        flag_key<self>{"preallocate", &self::preallocate},
        flag_key<self>{"discard", &self::discard},
        number_key<self, unsigned>{"queue_depth", &self::queue_depth, 1, 1024},
    };
};

template <>
struct keys<nbd_tier_config> {
    using self = nbd_tier_config;
    static constexpr std::tuple all{
        text_key<self>{"name", &self::name, 1, 64},
        text_key<self>{"uri", &self::uri, 1, 4095, false, true},
        size_key<self>{"size",
                       &self::size,
                       {.low = 4 * kibibyte, .or_zero = true, .zero_means = "all of the export"}},
        text_key<self>{"shared_table", &self::shared_table, 0, 4095, true},
        text_key<self>{"tls_psk_file", &self::tls_psk_file, 0, 4095, true},
        number_key<self, unsigned>{"connections", &self::connections, 1, 16},
        number_key<self, unsigned>{"queue_depth", &self::queue_depth, 1, 128},
        flag_key<self>{"discard", &self::discard},
        flag_key<self>{"durable", &self::durable},
        duration_key<self, std::chrono::milliseconds>{"request_timeout", &self::request_timeout,
                                                      std::chrono::minutes(10)},
        duration_key<self, std::chrono::milliseconds>{"lost_after", &self::lost_after,
                                                      std::chrono::hours(24 * 7)},
    };
};

template <>
struct keys<custom_tier_config> {
    using self = custom_tier_config;
    static constexpr std::tuple all{
        text_key<self>{"name", &self::name, 1, 64},
    };
};

template <>
struct keys<region_config> {
    using self = region_config;
    static constexpr std::tuple all{
        text_key<self>{"name", &self::name, 1, 64},
        size_key<self>{"size",
                       &self::size,
                       {.low = page_size, .high = 128 * tebibyte, .multiple = page_size},
                       true},
        enum_key<self, backing, 2>{"kind", &self::kind, {"private_anonymous", "shared_memory"}},
        number_key<self, unsigned>{"shards", &self::shards, 1, 64},
        name_key<self>{"policy", &self::policy, policy_names},
        name_key<self>{"prefetch", &self::prefetch, prefetcher_names},
        number_key<self, page_count>{"prefetch_window", &self::prefetch_window, 1,
                                     max_prefetch_window},
        flag_key<self>{"remove_events", &self::remove_events},
        enum_key<self, huge_page_use, 2>{"huge_pages", &self::huge_pages, {"auto", "off"}},
    };
};

/// Calls visit(key) for every key of Object, in order.
template <typename Object, typename Visitor>
void for_each_key(Visitor&& visit) {
    std::apply([&](const auto&... key) { (visit(key), ...); }, keys<Object>::all);
}

/// Names of the keys of Object, and `more`.
template <typename Object>
[[nodiscard]] std::vector<std::string_view> key_names(std::vector<std::string_view> more = {}) {
    for_each_key<Object>([&](const auto& key) { more.push_back(key.name); });
    return more;
}

} // namespace uffdmm
