// SPDX-License-Identifier: BSD-3-Clause
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "handles.hpp"
#include "option_value.hpp"
#include "sized_struct.hpp"
#include "uffdmm/migration.hpp"

struct uffdmm_migration_source {
    std::unique_ptr<uffdmm::migration_source> engine;
    const std::string region; ///< name, for messages
    uffdmm::encoded_location place{};
};

struct uffdmm_migration_target {
    std::unique_ptr<uffdmm::migration_target> engine;
    const std::string region; ///< name, for messages
};

namespace uffdmm::shim {
namespace {

static_assert(UFFDMM_PAGE_UNTOUCHED == static_cast<int>(page_kind::untouched) &&
              UFFDMM_PAGE_SAME_FILLED == static_cast<int>(page_kind::same_filled) &&
              UFFDMM_PAGE_RESIDENT == static_cast<int>(page_kind::resident) &&
              UFFDMM_PAGE_SWAPPED == static_cast<int>(page_kind::swapped) &&
              UFFDMM_PAGE_LOCATED == static_cast<int>(page_kind::located) &&
              UFFDMM_PAGE_LOST == static_cast<int>(page_kind::lost) &&
              UFFDMM_PAGE_UNREADABLE == static_cast<int>(page_kind::unreadable));
static_assert(UFFDMM_LOCATION_SIZE == location_bytes);

std::string subject(const std::string& region, std::uint64_t offset) {
    std::string text = "region \"";
    text.append(region).append("\", offset ").append(std::to_string(offset));
    return text;
}

const char* hint_for(errc code) {
    switch (code) {
    case errc::invalid_argument:
        return "allowed: whole pages of 4096 bytes inside the region";
    case errc::wrong_state:
        return "allowed: before the end of the migration and of the region";
    case errc::busy:
        return "allowed: one source of a region, and one target for a page, at a time";
    case errc::full:
        return "allowed: a higher limit, or larger tiers";
    case errc::poisoned:
        return "allowed: uffdmm_region_discard of the page";
    default:
        return "";
    }
}

region& live(uffdmm_region* handle) {
    require(handle, "region");
    if (handle->live == nullptr)
        throw setup_error(errc::wrong_state, "region is removed; allowed: a region that is not");
    return *handle->live;
}

template <typename T>
int outcome(const char* call, const result<T>& done, const std::string& region,
            std::uint64_t offset) {
    return done.ok() ? 0
                     : fail(call, done.failure(), subject(region, offset), hint_for(done.code()));
}

migration_source_options options_of(const uffdmm_source_options* given) {
    migration_source_options options;
    if (given == nullptr)
        return options;
    const uffdmm_source_options known = read_known(given, uffdmm_source_options{}, "options");
    refuse_unknown_tail(given, "options");
    if (known.locations > 1)
        refuse("options.locations: " + std::to_string(known.locations) +
               " is not allowed; allowed: 0, 1");
    options.locations = known.locations == 1;
    return options;
}

void write_page(const page_view& view, uffdmm_migration_source& source, uffdmm_page* out) {
    uffdmm_page page{};
    page.kind = static_cast<std::int32_t>(view.record.kind);
    page.cause = static_cast<std::int32_t>(view.record.cause);
    page.tier = view.record.tier;
    page.pattern = view.record.pattern;
    page.contents = view.contents;
    if (view.place != nullptr) {
        source.place = encode(*view.place);
        page.location = source.place.data();
    }
    write_struct(page, struct_size_of(out), out, "page");
}

/// Calls each_run until it gives something else than 0, and gives that.
int visit(const std::vector<record_run>& runs, uffdmm_page_run_fn* each_run, void* user_data) {
    for (const record_run& run : runs) {
        const uffdmm_page_run c_run{sizeof(uffdmm_page_run),
                                    run.offset,
                                    run.length,
                                    static_cast<std::int32_t>(run.what.kind),
                                    run.what.tier,
                                    run.what.pattern};
        if (const int answer = each_run(user_data, &c_run); answer != 0)
            return answer;
    }
    return 0;
}

} // namespace
} // namespace uffdmm::shim

using namespace uffdmm::shim;

// ---- source -------------------------------------------------------------------------------------

int uffdmm_migration_source_begin(uffdmm_region* region,
                                  const struct uffdmm_source_options* options,
                                  uffdmm_migration_source** source) noexcept {
    return guarded(__func__, [&] {
        uffdmm::region& target = live(region);
        require(source, "source");
        auto begun = target.begin_source(options_of(options));
        if (!begun)
            return outcome("uffdmm_migration_source_begin", begun, region->name, 0);
        *source = new uffdmm_migration_source{std::move(begun).value(), region->name};
        return 0;
    });
}

int uffdmm_migration_source_page(uffdmm_migration_source* source, uint64_t offset,
                                 struct uffdmm_page* page) noexcept {
    return guarded(__func__, [&] {
        require(source, "source");
        require(page, "page");
        const auto view = source->engine->page(offset);
        if (!view)
            return outcome("uffdmm_migration_source_page", view, source->region, offset);
        write_page(view.value(), *source, page);
        return 0;
    });
}

int uffdmm_migration_source_walk(uffdmm_migration_source* source, uint64_t offset, uint64_t length,
                                 uffdmm_page_run_fn* each_run, void* user_data) noexcept {
    return guarded(__func__, [&] {
        require(source, "source");
        require(reinterpret_cast<const void*>(each_run), "each_run");
        const auto runs = source->engine->walk(offset, length);
        if (!runs)
            return outcome("uffdmm_migration_source_walk", runs, source->region, offset);
        return visit(runs.value(), each_run, user_data);
    });
}

void uffdmm_migration_source_end(uffdmm_migration_source* source, int completed) noexcept {
    if (source != nullptr && completed != 0)
        (void)source->engine->complete();
    delete source;
}

const char* uffdmm_page_kind_name(int kind) noexcept {
    return kind < UFFDMM_PAGE_UNTOUCHED || kind > UFFDMM_PAGE_UNREADABLE
               ? "unknown"
               : uffdmm::to_string(static_cast<uffdmm::page_kind>(kind));
}

// ---- target -------------------------------------------------------------------------------------

int uffdmm_migration_target_begin(uffdmm_region* region,
                                  uffdmm_migration_target** target) noexcept {
    return guarded(__func__, [&] {
        uffdmm::region& filled = live(region);
        require(target, "target");
        auto begun = filled.begin_target();
        if (!begun)
            return outcome("uffdmm_migration_target_begin", begun, region->name, 0);
        *target = new uffdmm_migration_target{std::move(begun).value(), region->name};
        return 0;
    });
}

int uffdmm_migration_target_put(uffdmm_migration_target* target, uint64_t offset, uint64_t length,
                                const void* contents, int cold) noexcept {
    return guarded(__func__, [&] {
        require(target, "target");
        if (length != 0)
            require(contents, "contents");
        check_enum("cold", cold, {{0, "0"}, {1, "1"}});
        const std::span bytes(static_cast<const std::byte*>(contents), length);
        const auto done = target->engine->put(
            offset, bytes, cold == 1 ? uffdmm::warmth::cold : uffdmm::warmth::warm);
        return outcome("uffdmm_migration_target_put", done, target->region, offset);
    });
}

int uffdmm_migration_target_zero(uffdmm_migration_target* target, uint64_t offset,
                                 uint64_t length) noexcept {
    return guarded(__func__, [&] {
        require(target, "target");
        const auto done = target->engine->zero(offset, length);
        return outcome("uffdmm_migration_target_zero", done, target->region, offset);
    });
}

int uffdmm_migration_target_adopt(uffdmm_migration_target* target, uint64_t offset,
                                  const void* location) noexcept {
    return guarded(__func__, [&] {
        require(target, "target");
        require(location, "location");
        const auto place = uffdmm::decode_location(
            {static_cast<const std::byte*>(location), uffdmm::location_bytes});
        if (!place)
            return outcome("uffdmm_migration_target_adopt", place, target->region, offset);
        const auto done = target->engine->adopt(offset, place.value());
        return outcome("uffdmm_migration_target_adopt", done, target->region, offset);
    });
}

int uffdmm_migration_target_flush(uffdmm_migration_target* target) noexcept {
    return guarded(__func__, [&] {
        require(target, "target");
        return outcome("uffdmm_migration_target_flush", target->engine->flush(), target->region, 0);
    });
}

void uffdmm_migration_target_end(uffdmm_migration_target* target) noexcept {
    delete target;
}
