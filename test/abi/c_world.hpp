// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A manager and its regions through nothing but uffdmm.h and the shared library.

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "support/catch.hpp"
#include "uffdmm.h"

namespace uffdmm::test {

inline constexpr uint64_t mib = 1 << 20;
inline constexpr uint64_t page = UFFDMM_PAGE_SIZE;

[[nodiscard]] inline std::string last_error() {
    return uffdmm_last_error();
}

[[nodiscard]] inline bool says(const std::string& what) {
    INFO(last_error());
    return last_error().find(what) != std::string::npos;
}

[[nodiscard]] inline uffdmm_manager_options manager_options(uint64_t limit) {
    uffdmm_manager_options o;
    REQUIRE(uffdmm_manager_options_init(&o, sizeof o) == 0);
    o.limit = limit;
    return o;
}

[[nodiscard]] inline uffdmm_region_options region_options(uint64_t size) {
    uffdmm_region_options o;
    REQUIRE(uffdmm_region_options_init(&o, sizeof o) == 0);
    o.size = size;
    return o;
}

/// Owns a manager. Ends the program with 77 (skipped) where userfaultfd cannot be had.
class c_world {
  public:
    explicit c_world(uint64_t limit) : c_world(manager_options(limit)) {}
    explicit c_world(const uffdmm_manager_options& options) {
        INFO(last_error());
        REQUIRE(uffdmm_manager_create(&options, &manager_) == 0);
    }
    c_world(const c_world&) = delete;
    c_world& operator=(const c_world&) = delete;
    ~c_world() { uffdmm_manager_destroy(manager_); }

    [[nodiscard]] operator uffdmm_manager*() const { return manager_; }

    [[nodiscard]] uffdmm_region* add(const uffdmm_region_options& options) {
        uffdmm_region* region = nullptr;
        const int status = uffdmm_manager_add_region(manager_, &options, &region);
        if (status == -EPERM) {
            std::fprintf(stderr, "skipped: %s\n", uffdmm_last_error());
            std::exit(77);
        }
        INFO(last_error());
        REQUIRE(status == 0);
        return region;
    }
    [[nodiscard]] uffdmm_region* add(uint64_t size) { return add(region_options(size)); }

    [[nodiscard]] uffdmm_stats stats() const {
        uffdmm_stats s;
        s.struct_size = sizeof s;
        REQUIRE(uffdmm_manager_stats(manager_, &s) == 0);
        return s;
    }

  private:
    uffdmm_manager* manager_ = nullptr;
};

/// Every page gets contents of its own that do not compress to nothing.
inline void fill(uffdmm_region* region, uint64_t seed) {
    auto* words = static_cast<uint64_t*>(uffdmm_region_data(region));
    for (uint64_t at = 0; at < uffdmm_region_size(region); at += page)
        for (uint64_t i = 0; i < 16; ++i)
            words[at / 8 + i] = (at + i + seed) * 0x9e3779b97f4a7c15u;
}

/// Pages that do not hold what fill() wrote.
[[nodiscard]] inline uint64_t wrong_pages(const void* data, uint64_t size, uint64_t seed) {
    const auto* words = static_cast<const uint64_t*>(data);
    uint64_t wrong = 0;
    for (uint64_t at = 0; at < size; at += page) {
        bool good = true;
        for (uint64_t i = 0; i < 16; ++i)
            good = good && words[at / 8 + i] == (at + i + seed) * 0x9e3779b97f4a7c15u;
        wrong += good ? 0 : 1;
    }
    return wrong;
}

[[nodiscard]] inline uint64_t wrong_pages(uffdmm_region* region, uint64_t seed) {
    return wrong_pages(uffdmm_region_data(region), uffdmm_region_size(region), seed);
}

} // namespace uffdmm::test
