// SPDX-License-Identifier: BSD-3-Clause
#include "registry/registry.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "uffdmm/policy/fifo.hpp"
#include "uffdmm/policy/s3fifo.hpp"
#include "uffdmm/policy/second_chance.hpp"
#include "uffdmm/prefetch/adaptive.hpp"
#include "uffdmm/prefetch/off.hpp"
#include "uffdmm/prefetch/sequential.hpp"
#include "uffdmm/prefetch/stride.hpp"
#include "uffdmm/result.hpp"

namespace uffdmm {
namespace {

using make_policy = std::unique_ptr<eviction_policy> (*)(page_table&);
using make_prefetcher = std::unique_ptr<prefetcher> (*)(page_count pages, page_count max_window);

template <typename Policy>
std::unique_ptr<eviction_policy> policy_of(page_table& table) {
    return std::make_unique<Policy>(table);
}
template <typename Prefetcher>
std::unique_ptr<prefetcher> prefetcher_of(page_count pages, page_count max_window) {
    return std::make_unique<Prefetcher>(pages, max_window);
}

constexpr std::array<std::string_view, 3> policies{"fifo", "second_chance", "s3fifo"};
constexpr std::array<make_policy, 3> policy_makers{
    policy_of<fifo_policy>, policy_of<second_chance_policy>, policy_of<s3fifo_policy>};

constexpr std::array<std::string_view, 4> prefetchers{"off", "sequential", "stride", "adaptive"};
constexpr std::array<make_prefetcher, 4> prefetcher_makers{
    prefetcher_of<off_prefetcher>, prefetcher_of<sequential_prefetcher>,
    prefetcher_of<stride_prefetcher>, prefetcher_of<adaptive_prefetcher>};

/// Position of `name` in `names`.
std::size_t find(std::string_view key, std::string_view name,
                 std::span<const std::string_view> names) {
    const auto it = std::find(names.begin(), names.end(), name);
    if (it != names.end())
        return static_cast<std::size_t>(it - names.begin());
    std::string message = std::string(key) + ": \"" + std::string(name) + "\" is not known; one of";
    for (std::size_t i = 0; i < names.size(); ++i)
        message += (i == 0 ? " " : ", ") + std::string(names[i]);
    throw setup_error(errc::invalid_config, message + " is allowed");
}

} // namespace

std::span<const std::string_view> policy_names() noexcept {
    return policies;
}

std::span<const std::string_view> prefetcher_names() noexcept {
    return prefetchers;
}

policy_factory find_policy(std::string_view name) {
    return policy_makers[find("policy", name, policies)];
}

prefetcher_factory find_prefetcher(std::string_view name, page_count max_window) {
    const make_prefetcher make = prefetcher_makers[find("prefetch", name, prefetchers)];
    return [make, max_window](page_count pages) { return make(pages, max_window); };
}

} // namespace uffdmm
