// SPDX-License-Identifier: BSD-3-Clause
#include "tier/nbd/nbd_tier.hpp"

#include <algorithm>
#include <memory>

#include "tier/file/file_tier.hpp"
#include "tier/nbd/export_pages.hpp"
#include "tier/nbd/nbd_queue.hpp"
#include "tier/nbd/nbd_trimmer.hpp"
#include "tier/shared/shared_volume.hpp"
#include "uffdmm/result.hpp"

namespace uffdmm {
namespace {

/// More I/Os than one shard makes use of.
constexpr unsigned most_depth = 256;

class nbd_store final : public slot_store {
  public:
    explicit nbd_store(const nbd_tier_config& config)
        : discards_(config.discard), link_(std::make_shared<nbd_link>(config)) {
        set_slots(static_cast<std::uint32_t>(link_->bytes() >> page_shift), 0);
    }

    [[nodiscard]] const std::shared_ptr<nbd_link>& link() const noexcept { return link_; }

    [[nodiscard]] bool discards() const noexcept override { return discards_ && link_->trims(); }
    /// What a tier leaves behind is trimmed at the end of the link: a trim under way must not meet
    /// the writes of the next owner of the slots.
    void discard(slot_run) noexcept override {}

  private:
    bool discards_;
    std::shared_ptr<nbd_link> link_;
};

/// The volume says "path" of what is the tier's shared_table.
std::string by_key(std::string message) {
    constexpr std::string_view of_file = "tiers[].path";
    if (message.starts_with(of_file))
        message.replace(0, of_file.size(), "tiers[].shared_table");
    return message;
}

std::shared_ptr<shared_volume> open_volume(const nbd_tier_config& config,
                                           const std::shared_ptr<nbd_link>& link) {
    file_tier_config table;
    table.name = config.name;
    table.path = config.shared_table;
    table.size = config.size;
    table.shared = true;
    table.preallocate = false;
    table.discard = false;
    auto pages = std::make_unique<export_pages>(link, config.uri);
    try {
        return std::make_shared<shared_volume>(table, std::move(pages));
    } catch (const setup_error& e) {
        throw setup_error(e.code(), by_key(e.what()), e.os_errno());
    }
}

/// The export is other hosts' as well, and stays as it is at the end.
tier_factory make_shared_tier_factory(const nbd_tier_config& config) {
    nbd_tier_config whole = config;
    whole.size = 0;
    whole.discard = false;
    auto link = std::make_shared<nbd_link>(whole);
    auto volume = open_volume(config, link);
    return [link, volume, name = config.name](const tier_context& context) {
        const unsigned depth = std::min(link->depth(), most_depth);
        return std::make_unique<file_tier>(
            name, file_tier::parts{.store = volume->store(),
                                   .queue = std::make_unique<nbd_queue>(link, depth),
                                   .depth = depth,
                                   .workers = context.workers,
                                   .home = context.home,
                                   .latency = tier_latency::remote,
                                   .make_trimmer = {},
                                   .sharing = volume});
    };
}

} // namespace

tier_factory make_nbd_tier_factory(const nbd_tier_config& config) {
    if (!config.shared_table.empty())
        return make_shared_tier_factory(config);
    auto store = std::make_shared<nbd_store>(config);
    return [store, name = config.name](const tier_context& context) {
        const unsigned depth = std::min(store->link()->depth(), most_depth);
        file_tier::parts parts{.store = store,
                               .queue = std::make_unique<nbd_queue>(store->link(), depth),
                               .depth = depth,
                               .workers = context.workers,
                               .home = context.home,
                               .latency = tier_latency::remote,
                               .make_trimmer = {}};
        parts.make_trimmer = [store, &home = context.home](aio_queue&, trim_listener& listener) {
            return std::make_unique<nbd_trimmer>(store->link(), *store, home, listener);
        };
        return std::make_unique<file_tier>(name, std::move(parts));
    };
}

} // namespace uffdmm
