// SPDX-License-Identifier: BSD-3-Clause

/// uffdmm-store: looks at a shared store and frees what the dead have left (lib/tier/shared).

#include <charconv>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "tier/shared/volume_table.hpp"
#include "uffdmm/result.hpp"

namespace {

using namespace uffdmm;

constexpr const char* usage =
    "Usage: uffdmm-store COMMAND FILE\n"
    "Looks at a shared store of libuffdmm. Can be used while virtual machines run.\n"
    "\n"
    "  list FILE          the store, and who has what in it\n"
    "  check FILE         the same; ends with 1 if something is left behind or damaged\n"
    "  free FILE          frees volumes whose holder and readers are dead, and stray extents\n"
    "  free FILE VOLUME   also frees that volume although it is kept for somebody (a saved VM),\n"
    "                     unless its holder or a reader lives\n"
    "\n"
    "Ends with 0 if all is well, 1 if check found something, 2 if it could not be done.\n";

/// Problems are for people: what could not be done, and why.
[[nodiscard]] int fail(const error& e) {
    std::fprintf(stderr, "uffdmm-store: %s: %s\n", e.operation,
                 e.os_errno != 0 ? ::strerrordesc_np(e.os_errno) : to_string(e.code));
    return 2;
}

const char* state_text(const volume_table::volume_info& v) {
    if (v.damaged)
        return "damaged";
    if (v.record.state == volume_state::held)
        return v.alive ? "held" : "dead";
    if (v.record.keep)
        return "kept";
    return v.alive ? "offered" : v.read ? "offered, holder dead" : "offered, dead";
}

bool is_left_behind(const volume_table::volume_info& v) {
    return v.damaged || (!v.alive && !v.read && !v.record.keep);
}

std::string id_text(const store_id& id) {
    std::string text;
    for (const std::uint8_t b : id.bytes) {
        char digits[3];
        std::snprintf(digits, sizeof digits, "%02x", b);
        text += digits;
    }
    return text;
}

std::string time_text(std::uint64_t seconds) {
    const auto when = static_cast<std::time_t>(seconds);
    std::tm parts{};
    char text[32] = "?";
    if (::localtime_r(&when, &parts) != nullptr)
        std::strftime(text, sizeof text, "%F %T", &parts);
    return text;
}

double mebibytes(const store_geometry& g, std::uint64_t extents) {
    return static_cast<double>(extents << g.extent_shift) * page_size / (1 << 20);
}

/// Returns how many things should not be so.
unsigned print(const volume_table& table, const volume_table::survey& all) {
    const store_geometry& g = table.file().geometry();
    std::printf("store %s: %.0f MiB in %u extents of %.2f MiB, %.0f MiB free, %u volumes at most\n",
                id_text(table.file().header().id).c_str(), mebibytes(g, g.extents()), g.extents(),
                mebibytes(g, 1), mebibytes(g, all.free_extents), g.volumes);
    unsigned wrong = 0;
    for (const volume_table::volume_info& v : all.volumes) {
        std::printf("volume %u: %s, %.0f MiB", v.number, state_text(v), mebibytes(g, v.extents));
        if (!v.damaged)
            std::printf(", \"%s\" of process %llu on %s, since %s", v.record.label.c_str(),
                        static_cast<unsigned long long>(v.record.process), v.record.host.c_str(),
                        time_text(v.record.changed).c_str());
        std::printf("%s\n", v.read ? ", being read" : "");
        wrong += is_left_behind(v) ? 1 : 0;
    }
    if (all.stray_extents != 0)
        std::printf("stray: %u extents of volumes that are free\n", all.stray_extents);
    if (all.damaged_entries != 0)
        std::printf("damaged: %u entries of the extent table\n", all.damaged_entries);
    return wrong + all.stray_extents + all.damaged_entries;
}

int list(volume_table& table, bool check) {
    const auto all = table.look();
    if (!all)
        return fail(all.failure());
    const unsigned wrong = print(table, all.value());
    if (check && wrong == 0)
        std::printf("nothing is left behind or damaged\n");
    else if (check)
        std::printf("%u left behind or damaged; `uffdmm-store free` frees what is left behind\n",
                    wrong);
    return check && wrong != 0 ? 1 : 0;
}

int free_dead(volume_table& table, std::uint32_t volume) {
    const auto freed = table.reclaim(volume);
    if (!freed)
        return fail(freed.failure());
    std::printf("freed: %u volumes, %u extents\n", freed.value().volumes, freed.value().extents);
    if (volume == no_volume)
        return 0;
    const auto all = table.look();
    if (!all)
        return fail(all.failure());
    for (const volume_table::volume_info& v : all.value().volumes)
        if (v.number == volume) {
            std::fprintf(stderr, "uffdmm-store: volume %u is not freed: %s\n", volume,
                         v.damaged ? "its record is damaged"
                         : v.alive ? "its holder lives"
                                   : "somebody reads from it");
            return 2;
        }
    return 0;
}

std::optional<std::uint32_t> number(std::string_view text) {
    std::uint32_t value = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failed != std::errc{} || end != text.data() + text.size() || value == no_volume)
        return {};
    return value;
}

int wrong_usage(const std::string& why) {
    std::fprintf(stderr, "uffdmm-store: %s\n\n%s", why.c_str(), usage);
    return 2;
}

int run(int argc, char** argv) {
    const std::string_view command = argc > 1 ? argv[1] : "";
    if (command == "--help" || command == "-h") {
        std::fputs(usage, stdout);
        return 0;
    }
    if (command != "list" && command != "check" && command != "free")
        return wrong_usage(command.empty() ? "no command is given"
                                           : "there is no command \"" + std::string(command) +
                                                 "\"; there are list, check and free");
    const bool may_name_volume = command == "free";
    if (argc < 3 || argc > (may_name_volume ? 4 : 3))
        return wrong_usage(std::string(command) + " takes the name of a file" +
                           (may_name_volume ? ", and perhaps the number of a volume" : ""));
    std::uint32_t volume = no_volume;
    if (argc == 4) {
        const auto n = number(argv[3]);
        if (!n)
            return wrong_usage("\"" + std::string(argv[3]) + "\" is not the number of a volume");
        volume = *n;
    }
    volume_table table{std::string(argv[2])};
    if (volume != no_volume && volume >= table.file().geometry().volumes)
        return wrong_usage("volume " + std::to_string(volume) + " is not allowed; allowed: 0 to " +
                           std::to_string(table.file().geometry().volumes - 1));
    return command == "free" ? free_dead(table, volume) : list(table, command == "check");
}

} // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const std::exception& e) {
        std::string_view why = e.what();
        if (const std::string_view key = "tiers[].path "; why.starts_with(key))
            why.remove_prefix(key.size()); // here it is no key but an argument
        std::fprintf(stderr, "uffdmm-store: %s\n", std::string(why).c_str());
        return 2;
    }
}
