// SPDX-License-Identifier: BSD-3-Clause
/// Saves a region and brings it up again in another manager, as a VMM saves a stopped guest and
/// resumes it: the guest runs as soon as restore() returns, and what it touches comes in first.
///
///     save_restore [SIZE [LIMIT [STORE]]]     64M, a quarter of it, none
///
/// STORE is the name of a file on storage that both sides see: pages that are swapped there are not
/// copied, the snapshot says where they are. Without it the snapshot has the contents.

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <unistd.h>

#include "uffdmm/manager.hpp"

namespace {

using namespace uffdmm;
using std::chrono::steady_clock;

double milliseconds_since(steady_clock::time_point start) {
    return std::chrono::duration<double, std::milli>(steady_clock::now() - start).count();
}

manager_config budget_of(byte_count limit, const std::string& store) {
    manager_config config;
    config.limit = limit;
    file_tier_config file;
    file.path = store.empty() ? "/var/tmp" : store;
    file.shared = !store.empty();
    file.size = byte_count{16} << 30;
    file.preallocate = false;
    config.tiers = {file};
    return config;
}

region& add_region(manager& m, byte_count size) {
    region_config config;
    config.size = size;
    return m.add_region(config);
}

/// A word that tells which page it is in.
std::uint64_t word_of(std::uint64_t page, std::uint64_t index) {
    return (page + 1) * 0x9e3779b97f4a7c15u + index;
}

void write_all(const region& r) {
    for (std::uint64_t page = 0; page < r.size() / page_size; ++page) {
        auto* words = reinterpret_cast<std::uint64_t*>(r.data() + page * page_size);
        for (std::uint64_t i = 0; i < page_size / 8; ++i)
            words[i] = word_of(page, i);
    }
}
std::uint64_t wrong_words(const region& r) {
    std::uint64_t wrong = 0;
    for (std::uint64_t page = 0; page < r.size() / page_size; ++page) {
        const auto* words = reinterpret_cast<const std::uint64_t*>(r.data() + page * page_size);
        for (std::uint64_t i = 0; i < page_size / 8; ++i)
            wrong += words[i] == word_of(page, i) ? 0 : 1;
    }
    return wrong;
}

void need(const result<void>& done, const char* what) {
    if (done.ok())
        return;
    std::fprintf(stderr, "save_restore: %s: %s (%s)\n", what, to_string(done.code()),
                 done.failure().operation);
    std::exit(1);
}

struct wishes {
    byte_count size = byte_count{64} << 20;
    byte_count limit = 0;
    std::string store;
    std::string snapshot = "/var/tmp/uffdmm-snapshot-" + std::to_string(::getpid());
};

void save(const wishes& w) {
    manager m(budget_of(w.limit, w.store));
    region& r = add_region(m, w.size);
    write_all(r);
    const auto start = steady_clock::now();
    const auto saved = r.save(w.snapshot, {.locations = !w.store.empty()});
    if (!saved)
        need(saved.failure(), "save");
    std::printf("saved in %.0f ms: %llu pages as contents, %llu as locations, %.1f MiB\n",
                milliseconds_since(start), static_cast<unsigned long long>(saved.value().contents),
                static_cast<unsigned long long>(saved.value().located),
                static_cast<double>(saved.value().file_bytes) / (1 << 20));
}

int restore(const wishes& w) {
    manager m(budget_of(w.limit, w.store));
    region& r = add_region(m, w.size);
    const auto start = steady_clock::now();
    const auto restored = r.restore(w.snapshot);
    if (!restored)
        need(restored.failure(), "restore");
    const std::uint64_t somewhere = w.size / page_size * 5 / 8;
    const std::uint64_t word =
        *reinterpret_cast<const volatile std::uint64_t*>(r.data() + somewhere * page_size);
    const double first = milliseconds_since(start);
    need(restored.value()->wait(), "restore");
    std::printf("first data after %.1f ms, all of %llu MiB after %.0f ms\n", first,
                static_cast<unsigned long long>(w.size >> 20), milliseconds_since(start));
    const std::uint64_t wrong = wrong_words(r) + (word == word_of(somewhere, 0) ? 0 : 1);
    std::printf("%llu words are wrong\n", static_cast<unsigned long long>(wrong));
    return wrong == 0 ? 0 : 1;
}

} // namespace

int main(int count, char** arguments) {
    try {
        wishes w;
        if (count > 1)
            w.size = parse_size(arguments[1], "SIZE");
        w.limit = count > 2 ? parse_size(arguments[2], "LIMIT") : w.size / 4;
        w.store = count > 3 ? arguments[3] : "";
        save(w);
        const int status = restore(w);
        std::remove(w.snapshot.c_str());
        return status;
    } catch (const setup_error& e) {
        std::fprintf(stderr, "save_restore: %s\n", e.what());
        return e.code() == errc::permission_denied ? 77 : 1;
    }
}
