// SPDX-License-Identifier: BSD-3-Clause
#include "config/keys.hpp"
#include "config/refusal.hpp"
#include "uffdmm/config.hpp"

namespace uffdmm {
namespace {

template <typename Object>
void write_keys(const Object& object, json& out) {
    for_each_key<Object>([&](const auto& key) { out[std::string(key.name)] = key.write(object); });
}

json write_tier(const tier_config& tier, const std::string& path) {
    json out;
    if (const auto* ram = std::get_if<ram_tier_config>(&tier)) {
        out["kind"] = "ram";
        write_keys(*ram, out);
    } else if (const auto* file = std::get_if<file_tier_config>(&tier)) {
        out["kind"] = "file";
        write_keys(*file, out);
    } else if (const auto* nbd = std::get_if<nbd_tier_config>(&tier)) {
        out["kind"] = "nbd";
        write_keys(*nbd, out);
    } else {
        refuse_combination(path, "a custom tier is code and has no form in JSON");
    }
    return out;
}

json write_region(const region_config& region, const std::string& path) {
    if (region.address != nullptr)
        refuse_combination(path_of(path, "address"), "memory of the embedder has no form in JSON");
    if (region.make_policy)
        refuse_combination(path_of(path, "make_policy"), "is code and has no form in JSON");
    if (region.make_prefetcher)
        refuse_combination(path_of(path, "make_prefetcher"), "is code and has no form in JSON");
    json out;
    write_keys(region, out);
    return out;
}

} // namespace

std::string to_json(const config& config) {
    json out;
    write_keys(config.manager, out);
    json& tiers = out["tiers"] = json::array();
    for (const tier_config& tier : config.manager.tiers)
        tiers.push_back(write_tier(tier, path_of("tiers", tiers.size())));
    json& regions = out["regions"] = json::array();
    for (const region_config& region : config.regions)
        regions.push_back(write_region(region, path_of("regions", regions.size())));
    return out.dump(2, ' ', false, json::error_handler_t::replace);
}

} // namespace uffdmm
