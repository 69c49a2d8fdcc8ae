// SPDX-License-Identifier: BSD-3-Clause
#include <array>
#include <string_view>

#include "options.hpp"
#include "sized_struct.hpp"
#include "user_data.hpp"

namespace uffdmm::shim {
namespace {

static_assert(UFFDMM_EVENT_TIER_DEGRADED == static_cast<int>(event::kind::tier_degraded) &&
              UFFDMM_EVENT_TIER_RECOVERED == static_cast<int>(event::kind::tier_recovered) &&
              UFFDMM_EVENT_PAGE_POISONED == static_cast<int>(event::kind::page_poisoned) &&
              UFFDMM_EVENT_OVER_LIMIT == static_cast<int>(event::kind::over_limit));

/// The name as a C string, without allocating: events come from shard threads.
class c_name {
  public:
    explicit c_name(std::string_view name) {
        text_[name.copy(text_.data(), text_.size() - 1)] = '\0';
    }
    [[nodiscard]] const char* text() const { return text_.data(); }

  private:
    std::array<char, 65> text_; ///< names of tiers have at most 64 bytes
};

} // namespace

event_handler to_handler(const uffdmm_event_handler* handler) {
    if (handler == nullptr)
        return {};
    const auto known = read_known(handler, uffdmm_event_handler{}, "on_event");
    user_data data = own(known.user_data, known.free_user_data);
    refuse_unknown_tail(handler, "on_event");
    require(reinterpret_cast<const void*>(known.on_event), "on_event.on_event");
    return [on_event = known.on_event, data = std::move(data)](const event& e) {
        const c_name tier(e.tier);
        const uffdmm_event c_event{sizeof(uffdmm_event), static_cast<std::int32_t>(e.what),
                                   static_cast<std::int32_t>(e.cause), tier.text(), e.address};
        on_event(data.get(), &c_event);
    };
}

} // namespace uffdmm::shim
