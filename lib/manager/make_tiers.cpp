// SPDX-License-Identifier: BSD-3-Clause
#include "manager/make_tiers.hpp"

#include "tier/file/file_tier.hpp"
#include "tier/nbd/nbd_tier.hpp"
#include "tier/ram/ram_tier.hpp"

namespace uffdmm {
namespace {

struct factory_of {
    byte_count limit;

    tier_factory operator()(const ram_tier_config& c) const {
        return make_ram_tier_factory(c, limit);
    }
    tier_factory operator()(const file_tier_config& c) const { return make_file_tier_factory(c); }
    tier_factory operator()(const nbd_tier_config& c) const { return make_nbd_tier_factory(c); }
    tier_factory operator()(const custom_tier_config& c) const { return c.make; }
};

/// No tiers configured means one of compressed RAM.
std::vector<tier_config> chain_of(const manager_config& config) {
    return config.tiers.empty() ? std::vector<tier_config>{ram_tier_config{}} : config.tiers;
}

} // namespace

std::vector<tier_factory> make_tier_factories(const manager_config& config) {
    std::vector<tier_factory> factories;
    for (const tier_config& tier : chain_of(config))
        factories.push_back(std::visit(factory_of{config.limit}, tier));
    return factories;
}

std::vector<std::string> tier_names(const manager_config& config) {
    std::vector<std::string> names{"same-filled"};
    for (const tier_config& tier : chain_of(config))
        names.push_back(std::visit([](const auto& t) { return t.name; }, tier));
    return names;
}

} // namespace uffdmm
