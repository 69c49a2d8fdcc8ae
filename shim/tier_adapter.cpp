// SPDX-License-Identifier: BSD-3-Clause
#include "tier_adapter.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "errors.hpp"

/// Whom to tell, and how much is still to be told. On the stack of the call into the C code.
struct uffdmm_tier_client {
    uffdmm::tier_client& engine;
    std::size_t& pending_stores;
    std::size_t& pending_loads;
};

namespace uffdmm::shim {
namespace {

static_assert(page_size == UFFDMM_PAGE_SIZE && UFFDMM_MAX_SLOT == no_slot.value - 1);
static_assert(UFFDMM_TIER_OK == static_cast<int>(tier_status::ok) &&
              UFFDMM_TIER_REJECTED == static_cast<int>(tier_status::rejected) &&
              UFFDMM_TIER_IS_FULL == static_cast<int>(tier_status::full) &&
              UFFDMM_TIER_FAILED == static_cast<int>(tier_status::failed) &&
              UFFDMM_TIER_CORRUPT == static_cast<int>(tier_status::corrupt) &&
              UFFDMM_TIER_BUSY == static_cast<int>(tier_status::busy));
static_assert(UFFDMM_LATENCY_MEMORY == static_cast<int>(tier_latency::memory) &&
              UFFDMM_LATENCY_LOCAL == static_cast<int>(tier_latency::local) &&
              UFFDMM_LATENCY_REMOTE == static_cast<int>(tier_latency::remote));

constexpr std::uint32_t known_flags = UFFDMM_TIER_SYNCHRONOUS_LOAD | UFFDMM_TIER_COUNTS_IN_LIMIT |
                                      UFFDMM_TIER_SHARED | UFFDMM_TIER_COLD_ORDER;

tier_traits traits_of(const uffdmm_tier_ops& ops, std::string name) {
    tier_traits traits;
    traits.name = std::move(name);
    traits.latency = static_cast<tier_latency>(ops.latency);
    traits.synchronous_load = (ops.flags & UFFDMM_TIER_SYNCHRONOUS_LOAD) != 0;
    traits.counts_in_limit = (ops.flags & UFFDMM_TIER_COUNTS_IN_LIMIT) != 0;
    traits.shared = (ops.flags & UFFDMM_TIER_SHARED) != 0;
    traits.keeps_cold_order = (ops.flags & UFFDMM_TIER_COLD_ORDER) != 0;
    return traits;
}

[[noreturn]] void open_failure(const std::string& name, int status) {
    const std::string what = "tier \"" + name + "\": open ";
    if (status > 0)
        throw setup_error(errc::system,
                          what + "gave " + std::to_string(status) +
                              "; allowed: 0, or a negative errno value",
                          EIO);
    const char* reason = ::strerrordesc_np(-status);
    throw setup_error(errc::system,
                      what + "failed: " + (reason != nullptr ? reason : std::to_string(status)),
                      -status);
}

/// Forwards to C, and stops the process where the C code breaks the promise that a request is
/// reported exactly once: a lost request would hang a guest, one reported twice would give it
/// another page's contents. Thread: the shard's.
class c_tier final : public swap_tier {
  public:
    c_tier(const uffdmm_tier_ops& ops, const std::string& name, user_data data)
        : swap_tier(traits_of(ops, name)), ops_(ops), data_(std::move(data)) {}
    ~c_tier() override {
        if (is_open_ && ops_.close != nullptr)
            ops_.close(tier_);
    }

    /// Once, before anything else: nothing that could fail comes between it and close. Throws
    /// setup_error.
    void open(const tier_context& context) {
        const uffdmm_tier_context c_context{sizeof(uffdmm_tier_context), context.shard_pages,
                                            context.shard_number};
        const int status = ops_.open(data_.get(), &c_context, &tier_);
        if (status != 0)
            open_failure(traits().name, status);
        is_open_ = true;
    }

  private:
    void do_store(std::span<store_request* const> requests, tier_client& client) noexcept override {
        for (store_request* request : requests)
            forget(*request);
        stores_ += requests.size();
        call(client, [&](uffdmm_tier_client& to) {
            ops_.store(tier_, reinterpret_cast<uffdmm_store_request* const*>(requests.data()),
                       requests.size(), &to);
        });
    }
    void do_load(std::span<load_request* const> requests, tier_client& client) noexcept override {
        for (load_request* request : requests)
            forget(*request);
        loads_ += requests.size();
        call(client, [&](uffdmm_tier_client& to) {
            ops_.load(tier_, reinterpret_cast<uffdmm_load_request* const*>(requests.data()),
                      requests.size(), &to);
        });
    }
    void do_release(slot_id slot) noexcept override { ops_.release(tier_, slot.value); }
    void do_poll(tier_client& client) noexcept override {
        if (ops_.poll != nullptr)
            call(client, [&](uffdmm_tier_client& to) { ops_.poll(tier_, &to); });
    }
    [[nodiscard]] int do_event_fd() const noexcept override {
        return ops_.event_fd == nullptr ? -1 : ops_.event_fd(tier_);
    }
    [[nodiscard]] tier_usage do_usage() const noexcept override {
        uffdmm_tier_usage usage{};
        usage.struct_size = sizeof usage;
        ops_.usage(tier_, &usage);
        return {.pages = usage.pages,
                .stored_bytes = usage.stored_bytes,
                .occupied_bytes = usage.occupied_bytes,
                .memory_bytes = usage.memory_bytes,
                .capacity_bytes = usage.capacity_bytes};
    }
    [[nodiscard]] std::size_t do_coldest(std::span<cold_slot> out) noexcept override {
        if (ops_.coldest == nullptr)
            return 0;
        std::array<uffdmm_cold_slot, 128> slots{};
        const std::size_t most = std::min(out.size(), slots.size());
        const std::size_t n = ops_.coldest(tier_, slots.data(), most);
        UFFDMM_CHECK(n <= most, "coldest of a tier gives at most as many slots as asked for");
        for (std::size_t i = 0; i < n; ++i) {
            UFFDMM_CHECK(slots[i].slot <= UFFDMM_MAX_SLOT, "coldest of a tier gives slots");
            out[i] = {slot_id{slots[i].slot}, slots[i].owner};
        }
        return n;
    }

    /// What an earlier tier left in a request.
    template <typename Request>
    static void forget(Request& request) {
        request.status = tier_status::pending;
        request.tier_data = nullptr;
    }

    /// Calls may nest: the engine may start a request while it is told of another.
    template <typename Body>
    void call(tier_client& client, Body&& body) {
        uffdmm_tier_client to{client, stores_, loads_};
        ++depth_;
        body(to);
        if (--depth_ != 0)
            return;
        UFFDMM_CHECK(ops_.poll != nullptr || stores_ + loads_ == 0,
                     "a tier without poll reports every request inside the call that brought it");
        UFFDMM_CHECK(!traits().synchronous_load || loads_ == 0,
                     "a tier with UFFDMM_TIER_SYNCHRONOUS_LOAD reports every load inside load");
    }

    const uffdmm_tier_ops ops_;
    const user_data data_; ///< may be used by the C code until close
    void* tier_ = nullptr; ///< the instance, as open gave it
    bool is_open_ = false;
    std::size_t stores_ = 0; ///< not reported yet
    std::size_t loads_ = 0;
    unsigned depth_ = 0;
};

store_request& native(uffdmm_store_request* r) {
    return *reinterpret_cast<store_request*>(r);
}
const store_request& native(const uffdmm_store_request* r) {
    return *reinterpret_cast<const store_request*>(r);
}
load_request& native(uffdmm_load_request* r) {
    return *reinterpret_cast<load_request*>(r);
}
const load_request& native(const uffdmm_load_request* r) {
    return *reinterpret_cast<const load_request*>(r);
}

template <typename Request>
void settle(Request& request, int status, std::size_t& pending) {
    UFFDMM_CHECK(status >= UFFDMM_TIER_OK && status <= UFFDMM_TIER_BUSY,
                 "a tier reports a status of enum uffdmm_tier_status");
    UFFDMM_CHECK(request.status == tier_status::pending && pending != 0,
                 "a tier reports a request once");
    --pending;
    request.status = static_cast<tier_status>(status);
}

void check_present(bool present, const std::string& path, const char* member) {
    if (!present)
        refuse(path + "." + member + " is NULL; allowed: a function");
}

void check_needed(const uffdmm_tier_ops& ops, const std::string& path) {
    check_present(ops.open != nullptr, path, "open");
    check_present(ops.store != nullptr, path, "store");
    check_present(ops.load != nullptr, path, "load");
    check_present(ops.release != nullptr, path, "release");
    check_present(ops.usage != nullptr, path, "usage");
}

} // namespace

void check_tier_ops(const uffdmm_tier_ops& ops, const std::string& path) {
    check_needed(ops, path);
    if (ops.latency < UFFDMM_LATENCY_MEMORY || ops.latency > UFFDMM_LATENCY_REMOTE)
        refuse(path + ".latency: " + std::to_string(ops.latency) +
               " is not allowed; allowed: 0 (memory), 1 (local), 2 (remote)");
    if ((ops.flags & ~known_flags) != 0)
        throw too_new(path + ".flags: " + std::to_string(ops.flags) +
                      " has a flag that this version of the library does not know; allowed: a sum "
                      "of flags, at most " +
                      std::to_string(known_flags));
    if (ops.event_fd != nullptr && ops.poll == nullptr)
        refuse(path + ".event_fd is given without poll; allowed: both, or neither");
    if (((ops.flags & UFFDMM_TIER_COLD_ORDER) != 0) != (ops.coldest != nullptr))
        refuse(path + ".coldest and the flag UFFDMM_TIER_COLD_ORDER go together; allowed: both, or "
                      "neither");
}

tier_factory c_tier_factory(const uffdmm_tier_ops& ops, std::string name, user_data data) {
    return [ops, name = std::move(name),
            data = std::move(data)](const tier_context& context) -> std::unique_ptr<swap_tier> {
        auto tier = std::make_unique<c_tier>(ops, name, data);
        tier->open(context);
        return tier;
    };
}

} // namespace uffdmm::shim

using namespace uffdmm::shim;

const void* uffdmm_store_contents(const uffdmm_store_request* r) noexcept {
    return native(r).contents;
}

uint64_t uffdmm_store_owner(const uffdmm_store_request* r) noexcept {
    return native(r).owner;
}

void* uffdmm_store_data(const uffdmm_store_request* r) noexcept {
    return native(r).tier_data;
}

void uffdmm_store_set_data(uffdmm_store_request* r, void* data) noexcept {
    native(r).tier_data = data;
}

void uffdmm_store_done(uffdmm_tier_client* client, uffdmm_store_request* r, int status,
                       uint64_t slot) noexcept {
    uffdmm::store_request& request = native(r);
    UFFDMM_CHECK(status != UFFDMM_TIER_CORRUPT, "a store is not reported as corrupt");
    settle(request, status, client->pending_stores);
    UFFDMM_CHECK(status != UFFDMM_TIER_OK || slot <= UFFDMM_MAX_SLOT,
                 "a tier's slot is at most UFFDMM_MAX_SLOT");
    if (status == UFFDMM_TIER_OK)
        request.slot = uffdmm::slot_id{slot};
    client->engine.store_done(request);
}

uint64_t uffdmm_load_slot(const uffdmm_load_request* r) noexcept {
    return native(r).slot.value;
}

void* uffdmm_load_destination(const uffdmm_load_request* r) noexcept {
    return native(r).destination;
}

void* uffdmm_load_data(const uffdmm_load_request* r) noexcept {
    return native(r).tier_data;
}

void uffdmm_load_set_data(uffdmm_load_request* r, void* data) noexcept {
    native(r).tier_data = data;
}

void uffdmm_load_done(uffdmm_tier_client* client, uffdmm_load_request* r, int status) noexcept {
    UFFDMM_CHECK(status != UFFDMM_TIER_REJECTED && status != UFFDMM_TIER_IS_FULL &&
                     status != UFFDMM_TIER_BUSY,
                 "a load is reported as ok, failed or corrupt");
    settle(native(r), status, client->pending_loads);
    client->engine.load_done(native(r));
}
