// SPDX-License-Identifier: BSD-3-Clause
#include "config/check.hpp"

#include <cstdint>

#include "config/check_nbd.hpp"
#include "config/keys.hpp"
#include "uffdmm/engine/page_entry.hpp"

namespace uffdmm {
namespace {

template <typename Object>
void check_keys(const Object& object, const std::string& path) {
    for_each_key<Object>([&](const auto& key) { key.check(object, path_of(path, key.name)); });
}

std::string_view name_of(const tier_config& tier) {
    return std::visit([](const auto& t) -> std::string_view { return t.name; }, tier);
}

void check_tier(const tier_config& tier, const std::string& path) {
    std::visit([&](const auto& t) { check_keys(t, path); }, tier);
    const auto* custom = std::get_if<custom_tier_config>(&tier);
    if (custom != nullptr && !custom->make)
        refuse_combination(path_of(path, "make"), "is empty; a custom tier needs a factory");
    if (const auto* nbd = std::get_if<nbd_tier_config>(&tier))
        check_nbd(*nbd, path);
}

/// Events and statistics tell tiers apart by their names.
void check_tier_names(const std::vector<tier_config>& tiers, const std::string& path) {
    for (std::size_t i = 0; i < tiers.size(); ++i) {
        const std::string at = path_of(path_of(path, i), "name");
        if (name_of(tiers[i]) == "same-filled")
            refuse_combination(at, "\"same-filled\" is the name of a tier of the library; allowed: "
                                   "any other name");
        for (std::size_t j = 0; j < i; ++j)
            if (name_of(tiers[i]) == name_of(tiers[j]))
                refuse_combination(at, in_quotes(name_of(tiers[i])) + " is the name of " +
                                           path_of(path, j) +
                                           " too; allowed: a name that no other tier has");
    }
}

void check_address(const region_config& config, const std::string& path) {
    const auto address = reinterpret_cast<std::uintptr_t>(config.address);
    if (!is_page_aligned(address))
        refuse_combination(path_of(path, "address"), "is not a multiple of 4096");
    if (address > UINTPTR_MAX - config.size)
        refuse_combination(path_of(path, "address"), "plus size exceeds the address space");
}

void check_descriptor(const region_config& config, const std::string& path) {
    const bool shared = config.kind == backing::shared_memory;
    const std::string key = path_of(path, "fd");
    const std::string value = std::to_string(config.fd);
    if (config.fd < -1)
        refuse(key, value, "a file descriptor, or -1 for none");
    if (config.fd >= 0 && !shared)
        refuse_combination(key, value + " goes with kind \"shared_memory\" only; allowed: -1");
    if (config.fd >= 0 && config.address == nullptr)
        refuse_combination(key, value + " is given without the address where it is mapped; "
                                        "allowed: both, or neither (fd -1)");
    if (config.fd < 0 && shared && config.address != nullptr)
        refuse_combination(key, "is -1, but kind is \"shared_memory\" and address is given; "
                                "allowed: the descriptor of the memfd behind the mapping");
}

void check_descriptor_offset(const region_config& config, const std::string& path) {
    const std::string key = path_of(path, "fd_offset");
    const std::string value = std::to_string(config.fd_offset);
    if (config.fd < 0 && config.fd_offset != 0)
        refuse_combination(key, value + " is given without fd; allowed: 0");
    if (!is_page_aligned(config.fd_offset))
        refuse(key, value, "a multiple of 4096");
    if (config.fd_offset > static_cast<byte_count>(INT64_MAX) - config.size)
        refuse(key, value, "an offset that with size stays below 8388608T");
}

void check_shards(const region_config& config, const std::string& path) {
    const byte_count pages = config.size >> page_shift;
    const std::string key = path_of(path, "shards");
    const std::string value = std::to_string(config.shards);
    if (config.shards > pages)
        refuse(key, value, "at most one shard per page, " + std::to_string(pages) + " here");
    const byte_count most = no_page.value - 1;
    if ((pages + config.shards - 1) / config.shards > most)
        refuse(key, value,
               "at least " + std::to_string((pages + most - 1) / most) +
                   " for this size: a shard holds less than 16T");
}

} // namespace

void check_manager(const manager_config& config, const std::string& path) {
    check_keys(config, path);
    if (config.low_watermark_permille >= config.high_watermark_permille)
        refuse_combination(path_of(path, "low_watermark_permille"),
                           std::to_string(config.low_watermark_permille) +
                               " is not below high_watermark_permille, which is " +
                               std::to_string(config.high_watermark_permille) +
                               "; allowed: low < high <= 250");
    const std::string tiers = path_of(path, "tiers");
    if (config.tiers.size() >= max_tiers)
        refuse(tiers, std::to_string(config.tiers.size()) + " tiers",
               "at most " + std::to_string(max_tiers - 1));
    for (std::size_t i = 0; i < config.tiers.size(); ++i)
        check_tier(config.tiers[i], path_of(tiers, i));
    check_tier_names(config.tiers, tiers);
}

void check_region(const region_config& config, const std::string& path) {
    // A factory replaces the policy or prefetcher by name.
    region_config named = config;
    if (named.make_policy)
        named.policy = policy_names().front();
    if (named.make_prefetcher)
        named.prefetch = prefetcher_names().front();
    check_keys(named, path);
    check_address(config, path);
    check_descriptor(config, path);
    check_descriptor_offset(config, path);
    check_shards(config, path);
}

void validate(const manager_config& config) {
    check_manager(config, "");
}

void validate(const region_config& config) {
    check_region(config, "");
}

} // namespace uffdmm
