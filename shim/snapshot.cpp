// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "handles.hpp"
#include "option_value.hpp"
#include "uffdmm/shared_store.hpp"
#include "uffdmm/snapshot.hpp"

struct uffdmm_restoration {
    std::unique_ptr<uffdmm::restoration> engine;
    const std::string subject; ///< for messages
};

namespace uffdmm::shim {
namespace {

static_assert(UFFDMM_VOLUME_NAME_SIZE == volume_name_bytes);
static_assert(UFFDMM_NONCE_SIZE == sizeof(handover_nonce));
static_assert(UFFDMM_HANDOVER_OWN == static_cast<int>(handover::own) &&
              UFFDMM_HANDOVER_OFFERED == static_cast<int>(handover::offered) &&
              UFFDMM_HANDOVER_GIVEN == static_cast<int>(handover::given));

region& live(uffdmm_region* handle) {
    require(handle, "region");
    if (handle->live == nullptr)
        throw setup_error(errc::wrong_state, "region is removed; allowed: a region that is not");
    return *handle->live;
}

shared_store& store_of(uffdmm_region* handle) {
    shared_store* store = live(handle).store();
    if (store == nullptr)
        throw setup_error(errc::not_supported,
                          "no tier of the region is a store that other hosts read; allowed: a file "
                          "tier with the option shared, or an nbd tier with shared_table");
    return *store;
}

handover_nonce nonce_of(const void* bytes) {
    require(bytes, "nonce");
    handover_nonce nonce;
    std::memcpy(nonce.data(), bytes, nonce.size());
    return nonce;
}

std::string named(const uffdmm_region* region) {
    std::string text = "region \"";
    text.append(region->name).append("\"");
    return text;
}

template <typename T>
int outcome(const char* call, const result<T>& done, const std::string& subject) {
    return done.ok() ? 0 : fail(call, done.failure(), subject, "");
}

} // namespace
} // namespace uffdmm::shim

using namespace uffdmm::shim;

// ---- handover -----------------------------------------------------------------------------------

int uffdmm_region_store_volume(uffdmm_region* region, void* name) noexcept {
    return guarded(__func__, [&] {
        const uffdmm::shared_store& store = store_of(region);
        require(name, "name");
        const uffdmm::encoded_volume_name bytes = encode(store.volume());
        std::memcpy(name, bytes.data(), bytes.size());
        return 0;
    });
}

int uffdmm_region_store_offer(uffdmm_region* region, const void* nonce, int keep) noexcept {
    return guarded(__func__, [&] {
        uffdmm::shared_store& store = store_of(region);
        check_enum("keep", keep, {{0, "0"}, {1, "1"}});
        return outcome("uffdmm_region_store_offer", store.offer(nonce_of(nonce), keep == 1),
                       named(region));
    });
}

int uffdmm_region_store_cancel(uffdmm_region* region) noexcept {
    return guarded(__func__, [&] {
        return outcome("uffdmm_region_store_cancel", store_of(region).cancel(), named(region));
    });
}

int uffdmm_region_store_outcome(uffdmm_region* region, int* handover) noexcept {
    return guarded(__func__, [&] {
        uffdmm::shared_store& store = store_of(region);
        require(handover, "handover");
        const auto found = store.outcome();
        if (found.ok())
            *handover = static_cast<int>(found.value());
        return outcome("uffdmm_region_store_outcome", found, named(region));
    });
}

int uffdmm_region_store_attach(uffdmm_region* region, const void* name) noexcept {
    return guarded(__func__, [&] {
        uffdmm::shared_store& store = store_of(region);
        require(name, "name");
        const auto volume = uffdmm::decode_volume_name(
            {static_cast<const std::byte*>(name), uffdmm::volume_name_bytes});
        if (!volume)
            return outcome("uffdmm_region_store_attach", volume, named(region));
        return outcome("uffdmm_region_store_attach", store.attach(volume.value()), named(region));
    });
}

int uffdmm_region_store_accept(uffdmm_region* region, const void* nonce) noexcept {
    return guarded(__func__, [&] {
        uffdmm::shared_store& store = store_of(region);
        return outcome("uffdmm_region_store_accept", store.accept(nonce_of(nonce)), named(region));
    });
}

int uffdmm_region_store_detach(uffdmm_region* region) noexcept {
    return guarded(__func__, [&] {
        return outcome("uffdmm_region_store_detach", store_of(region).detach(), named(region));
    });
}

// ---- snapshots ----------------------------------------------------------------------------------

int uffdmm_region_save(uffdmm_region* region, const char* path, int locations) noexcept {
    return guarded(__func__, [&] {
        uffdmm::region& saved = live(region);
        require(path, "path");
        check_enum("locations", locations, {{0, "0"}, {1, "1"}});
        return outcome("uffdmm_region_save", saved.save(path, {.locations = locations == 1}), path);
    });
}

int uffdmm_region_restore(uffdmm_region* region, const char* path,
                          uffdmm_restoration** restoration) noexcept {
    return guarded(__func__, [&] {
        uffdmm::region& restored = live(region);
        require(path, "path");
        require(restoration, "restoration");
        auto begun = restored.restore(path);
        if (!begun)
            return outcome("uffdmm_region_restore", begun, path);
        *restoration = new uffdmm_restoration{std::move(begun).value(), path};
        return 0;
    });
}

int uffdmm_restoration_wait(uffdmm_restoration* restoration) noexcept {
    return guarded(__func__, [&] {
        require(restoration, "restoration");
        return outcome("uffdmm_restoration_wait", restoration->engine->wait(),
                       restoration->subject);
    });
}

void uffdmm_restoration_free(uffdmm_restoration* restoration) noexcept {
    delete restoration;
}
