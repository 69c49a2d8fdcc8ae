// SPDX-License-Identifier: BSD-3-Clause
#include "options.hpp"

#include "option_value.hpp"
#include "sized_struct.hpp"
#include "tier_options.hpp"

namespace uffdmm::shim {
namespace {

static_assert(UFFDMM_PRIVATE_ANONYMOUS == static_cast<int>(backing::private_anonymous) &&
              UFFDMM_SHARED_MEMORY == static_cast<int>(backing::shared_memory));
static_assert(UFFDMM_EXCEED == static_cast<int>(on_swap_full::exceed) &&
              UFFDMM_WAIT == static_cast<int>(on_swap_full::wait));
static_assert(UFFDMM_PLACE_SCHEDULER == static_cast<int>(thread_placement::scheduler) &&
              UFFDMM_PLACE_GATHER == static_cast<int>(thread_placement::gather));
static_assert(UFFDMM_HUGE_PAGES_AUTO == static_cast<int>(huge_page_use::automatic) &&
              UFFDMM_HUGE_PAGES_OFF == static_cast<int>(huge_page_use::off));

uffdmm_manager_options manager_defaults() {
    const manager_config config;
    uffdmm_manager_options o{};
    o.struct_size = sizeof o;
    o.limit = config.limit;
    o.workers = config.workers;
    o.staged_percent = config.staged_percent;
    o.low_watermark_permille = config.low_watermark_permille;
    o.high_watermark_permille = config.high_watermark_permille;
    o.spin = static_cast<std::uint64_t>(config.spin.count());
    o.read_retry_time = static_cast<std::uint64_t>(config.read_retry_time.count());
    o.when_full = static_cast<std::int32_t>(config.when_full);
    o.placement = static_cast<std::int32_t>(config.placement);
    return o;
}

uffdmm_region_options region_defaults() {
    const region_config config;
    uffdmm_region_options o{};
    o.struct_size = sizeof o;
    o.size = config.size;
    o.fd_offset = config.fd_offset;
    o.fd = config.fd;
    o.kind = static_cast<std::int32_t>(config.kind);
    o.shards = config.shards;
    o.prefetch_window = config.prefetch_window;
    o.remove_events = config.remove_events ? 1 : 0;
    o.huge_pages = static_cast<std::int32_t>(config.huge_pages);
    return o;
}

void set_numbers(manager_config& config, const uffdmm_manager_options& o) {
    check_enum("when_full", o.when_full,
               {{UFFDMM_EXCEED, "UFFDMM_EXCEED"}, {UFFDMM_WAIT, "UFFDMM_WAIT"}});
    check_enum("placement", o.placement,
               {{UFFDMM_PLACE_SCHEDULER, "UFFDMM_PLACE_SCHEDULER"},
                {UFFDMM_PLACE_GATHER, "UFFDMM_PLACE_GATHER"}});
    config.limit = o.limit;
    config.workers = o.workers;
    config.staged_percent = o.staged_percent;
    config.low_watermark_permille = o.low_watermark_permille;
    config.high_watermark_permille = o.high_watermark_permille;
    config.spin = to_duration<std::chrono::microseconds>(o.spin);
    config.read_retry_time = to_duration<std::chrono::milliseconds>(o.read_retry_time);
    config.when_full = static_cast<on_swap_full>(o.when_full);
    config.placement = static_cast<thread_placement>(o.placement);
}

void set_memory(region_config& config, const uffdmm_region_options& o) {
    check_enum("kind", o.kind,
               {{UFFDMM_PRIVATE_ANONYMOUS, "UFFDMM_PRIVATE_ANONYMOUS"},
                {UFFDMM_SHARED_MEMORY, "UFFDMM_SHARED_MEMORY"}});
    check_enum("huge_pages", o.huge_pages,
               {{UFFDMM_HUGE_PAGES_AUTO, "UFFDMM_HUGE_PAGES_AUTO"},
                {UFFDMM_HUGE_PAGES_OFF, "UFFDMM_HUGE_PAGES_OFF"}});
    config.size = o.size;
    config.kind = static_cast<backing>(o.kind);
    config.address = o.address;
    config.fd = o.fd;
    config.fd_offset = o.fd_offset;
    config.huge_pages = static_cast<huge_page_use>(o.huge_pages);
}

} // namespace

manager_config to_config(const uffdmm_manager_options* options) {
    require(options, "options");
    const auto known = read_known(options, manager_defaults(), "options");
    // Every user_data gets its owner before anything may be refused.
    const tier_list tiers(known.tiers, known.tier_count);
    manager_config config;
    config.on_event = to_handler(known.on_event);
    refuse_unknown_tail(options, "options");
    set_numbers(config, known);
    config.tiers = tiers.configs();
    return config;
}

region_config to_config(const uffdmm_region_options* options) {
    require(options, "options");
    const auto known = read_known(options, region_defaults(), "options");
    refuse_unknown_tail(options, "options");
    region_config config;
    config.name = to_text(known.name, config.name);
    config.policy = to_text(known.policy, config.policy);
    config.prefetch = to_text(known.prefetch, config.prefetch);
    set_memory(config, known);
    config.shards = known.shards;
    config.prefetch_window = known.prefetch_window;
    config.remove_events = to_flag("remove_events", known.remove_events);
    return config;
}

} // namespace uffdmm::shim

using namespace uffdmm::shim;

int uffdmm_manager_options_init(struct uffdmm_manager_options* options,
                                size_t struct_size) noexcept {
    return guarded(__func__, [&] {
        require(options, "options");
        write_struct(manager_defaults(), struct_size, options, "options");
        return 0;
    });
}

int uffdmm_region_options_init(struct uffdmm_region_options* options, size_t struct_size) noexcept {
    return guarded(__func__, [&] {
        require(options, "options");
        write_struct(region_defaults(), struct_size, options, "options");
        return 0;
    });
}
