// SPDX-License-Identifier: BSD-3-Clause
// A C++ program outside the tree: the manager, a tier and a policy of its own, errors.
#include <cstring>
#include <iostream>
#include <unordered_map>
#include <vector>

#include <uffdmm/manager.hpp>
#include <uffdmm/policy/fifo.hpp>
#include <uffdmm/stats_json.hpp>

namespace {

/// Keeps pages uncompressed. One instance per shard, each call from that shard's thread.
class plain_tier final : public uffdmm::swap_tier {
  public:
    plain_tier() : swap_tier({.name = "plain"}) {}

  private:
    void do_store(std::span<uffdmm::store_request* const> requests,
                  uffdmm::tier_client& client) noexcept override {
        for (uffdmm::store_request* r : requests) {
            r->slot = {next_};
            pages_[next_++].assign(r->contents, r->contents + uffdmm::page_size);
            r->status = uffdmm::tier_status::ok;
            client.store_done(*r);
        }
    }
    void do_load(std::span<uffdmm::load_request* const> requests,
                 uffdmm::tier_client& client) noexcept override {
        for (uffdmm::load_request* r : requests) {
            std::memcpy(r->destination, pages_.at(r->slot.value).data(), uffdmm::page_size);
            r->status = uffdmm::tier_status::ok;
            client.load_done(*r);
        }
    }
    void do_release(uffdmm::slot_id slot) noexcept override { pages_.erase(slot.value); }
    uffdmm::tier_usage do_usage() const noexcept override {
        uffdmm::tier_usage usage;
        usage.pages = pages_.size();
        return usage;
    }

    std::unordered_map<std::uint64_t, std::vector<std::byte>> pages_;
    std::uint64_t next_ = 0;
};

bool refuses_nonsense() {
    try {
        static_cast<void>(uffdmm::parse_config(R"({"limit": "nonsense"})"));
    } catch (const uffdmm::setup_error& e) {
        return e.code() == uffdmm::errc::invalid_config;
    }
    return false;
}

bool keeps_contents() {
    constexpr std::size_t size = 64 << 20;
    uffdmm::manager_config budget;
    budget.limit = 16 << 20;
    budget.tiers = {uffdmm::custom_tier_config{
        "plain", [](const uffdmm::tier_context&) { return std::make_unique<plain_tier>(); }}};
    uffdmm::manager manager(budget);
    uffdmm::region_config ram;
    ram.size = size;
    ram.make_policy = [](uffdmm::page_table& table) {
        return std::make_unique<uffdmm::fifo_policy>(table);
    };
    uffdmm::region& region = manager.add_region(ram);
    auto* const words = reinterpret_cast<std::uint64_t*>(region.data());
    for (std::size_t at = 0; at < size; at += uffdmm::page_size)
        for (std::size_t i = 0; i < 2; ++i) // no page is filled with one word
            words[at / 8 + i] = at + i + 1;
    for (std::size_t at = 0; at < size; at += uffdmm::page_size)
        if (words[at / 8] != at + 1)
            return false;
    const uffdmm::stats stats = manager.statistics();
    return stats.swapped_out != 0 && !uffdmm::to_json(stats).empty() &&
           manager.wait_until_idle(std::chrono::seconds(60)).ok();
}

} // namespace

int main() {
    try {
        const bool good = refuses_nonsense() && keeps_contents();
        std::cout << "libuffdmm " << uffdmm::version() << (good ? " works" : " does not work")
                  << '\n';
        return good ? 0 : 1;
    } catch (const std::exception& e) {
        std::cerr << e.what() << '\n';
        return 1;
    }
}
