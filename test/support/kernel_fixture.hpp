// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Helpers of the tests that run on the real kernel: guest memory with its kernel object, threads
/// that play vCPUs, and waiting for messages (by poll, never by sleeping).

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stop_token>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <poll.h>

#include "kernel/features.hpp"
#include "kernel/guest_memory.hpp"
#include "kernel/linux_kernel.hpp"
#include "support/catch.hpp"
#include "support/sanitizers.hpp"

/// Leaves the test with a word if this kernel or machine can not do what it needs.
#define UFFDMM_NEEDS(condition, what)                                                              \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            WARN("skipped: needs " << what);                                                       \
            return;                                                                                \
        }                                                                                          \
    } while (false)

namespace uffdmm::test {

/// Whether a sanitizer keeps memory and mappings of its own beside those of the process.
inline constexpr bool sanitized = UFFDMM_UNDER_SANITIZER != 0;

/// Ends the whole program with 77 (skipped) where userfaultfd cannot be had at all.
inline const kernel_probe& probe() {
    static const kernel_probe found = [] {
        kernel_probe p = probe_kernel();
        if (p.access != errc::ok) {
            std::fprintf(stderr, "skipped: %s\n", p.reason.c_str());
            std::exit(77);
        }
        return p;
    }();
    return found;
}

/// The ways pages leave the guest.
enum class protocol : std::uint8_t { private_move, private_copy, shared };

inline std::vector<protocol> protocols() {
    std::vector<protocol> all{protocol::private_copy};
    if (probe().has(UFFD_FEATURE_MOVE))
        all.push_back(protocol::private_move);
    if (probe().has(UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_WP_HUGETLBFS_SHMEM))
        all.push_back(protocol::shared);
    return all;
}
inline const char* name_of(protocol p) {
    return p == protocol::private_move   ? "private memory, by MOVE"
           : p == protocol::private_copy ? "private memory, by copying"
                                         : "shared memory";
}

inline region_config region_of(protocol p, page_count pages) {
    (void)probe();
    region_config config;
    config.name = "test";
    config.size = bytes_of(pages);
    config.kind = p == protocol::shared ? backing::shared_memory : backing::private_anonymous;
    return config;
}

/// A page of recognisable contents; no word of it is zero.
inline std::vector<std::byte> stamped(page_count pages, std::uint64_t seed = 1) {
    std::vector<std::byte> out(bytes_of(pages));
    for (std::size_t i = 0; i < out.size() / 8; ++i) {
        const std::uint64_t word = (seed * 0x9e3779b97f4a7c15u + i) | 1;
        std::memcpy(out.data() + i * 8, &word, 8);
    }
    return out;
}

/// Guest memory, all of it one shard.
struct world {
    explicit world(protocol p, page_count pages = 64, linux_kernel_options options = {})
        : world(p, region_of(p, pages), options) {}
    world(protocol p, const region_config& config, linux_kernel_options options = {})
        : memory(config), os(memory.slice(0, pages_of(config.size)), pages_of(config.size),
                             with_protocol(p, options)) {}

    guest_memory memory;
    linux_kernel os;

    [[nodiscard]] std::byte* page(std::uint32_t index) const {
        return memory.data() + std::size_t{index} * page_size;
    }
    /// Installs stamped pages [first, first + n); returns their contents.
    std::vector<std::byte> fill(std::uint32_t first, page_count n, bool protect = false) {
        std::vector<std::byte> contents = stamped(n, first + 1);
        const kernel_result r = os.copy_in({first}, n, contents.data(), protect);
        REQUIRE(r.status == kernel_status::ok);
        REQUIRE(r.done == n);
        return contents;
    }
    [[nodiscard]] bool has_message() const {
        pollfd p{os.events_fd(), POLLIN, 0};
        return ::poll(&p, 1, 0) == 1;
    }
    /// The next message, which must come.
    kernel_message next_message() {
        pollfd p{os.events_fd(), POLLIN, 0};
        kernel_message m[1];
        do {
            INFO("waiting for a message of the userfaultfd");
            REQUIRE(::poll(&p, 1, patience_ms) == 1);
        } while (os.read(m) == 0);
        return m[0];
    }

    static constexpr int patience_ms = 20'000;

  private:
    static linux_kernel_options with_protocol(protocol p, linux_kernel_options options) {
        options.use_move = p != protocol::private_copy;
        return options;
    }
};

/// A thread that accesses guest memory: once, or until it is told to stop if `access` takes a
/// std::stop_token. If a test fails while it waits, it is told to stop and the range is
/// unregistered, so that it can end.
class vcpu {
  public:
    template <typename Access>
    vcpu(world& w, Access access)
        : world_(w), thread_([this, access](const std::stop_token& told) {
              if constexpr (std::is_invocable_v<Access, std::stop_token>)
                  access(told);
              else
                  access();
              done_.store(true, std::memory_order_release);
          }) {}
    vcpu(const vcpu&) = delete;
    vcpu& operator=(const vcpu&) = delete;
    ~vcpu() {
        if (!thread_.joinable())
            return;
        thread_.request_stop();
        if (!done()) {
            (void)world_.os.unregister_guest();
            kernel_message drained[64];
            while (!done()) {
                (void)world_.os.read(drained);
                std::this_thread::yield();
            }
        }
        thread_.join();
    }

    [[nodiscard]] bool done() const { return done_.load(std::memory_order_acquire); }
    void join() { thread_.join(); }
    void stop() {
        thread_.request_stop();
        join();
    }

  private:
    world& world_;
    std::atomic<bool> done_{false};
    std::jthread thread_;
};

// The kernel, and pages that come and go, are no partners that ThreadSanitizer can see.
__attribute__((no_sanitize("thread"))) inline std::uint64_t load(const std::byte* at) {
    return *reinterpret_cast<const volatile std::uint64_t*>(at);
}
__attribute__((no_sanitize("thread"))) inline void store(std::byte* at, std::uint64_t value) {
    *reinterpret_cast<volatile std::uint64_t*>(at) = value;
}
inline bool same(const std::byte* a, const std::byte* b, page_count pages = 1) {
    return std::memcmp(a, b, bytes_of(pages)) == 0;
}

} // namespace uffdmm::test
