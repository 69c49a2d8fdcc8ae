// SPDX-License-Identifier: BSD-3-Clause

/// Eviction by the engine against the bare UFFDIO_MOVE of the same pages, in turns: the same
/// windows, one ranged move with holes each. Time per page that left.

#include <atomic>
#include <cstdio>
#include <thread>
#include <vector>

#include "kernel/userfaultfd_abi.hpp"
#include "support/bare_uffd.hpp"
#include "support/clock.hpp"
#include "support/compare_options.hpp"
#include "support/comparison.hpp"
#include "support/engine_world.hpp"
#include "support/placement.hpp"

namespace uffdmm::bench {
namespace {

constexpr target wanted{1.3, 0};
constexpr page_count windows = 64;
constexpr page_count pages = windows * cluster_pages;

/// Which pages of each window are mapped.
struct pattern {
    const char* name;
    page_count count; ///< pages
    page_count stride;

    [[nodiscard]] page_count span() const { return (count - 1) * stride + 1; }
};
constexpr pattern patterns[] = {
    {"1", 1, 1}, {"4", 4, 1}, {"16", 16, 1}, {"64", 64, 1}, {"16_of_64", 16, 4}};

template <typename Each>
void for_each_page(const pattern& p, Each&& each) {
    for (page_count w = 0; w < windows; ++w)
        for (page_count i = 0; i < p.count; ++i)
            each(w * cluster_pages + i * p.stride);
}

/// The guest uses its pages: what nobody has used needs no flush.
void write_all(const pattern& p, std::byte* memory) {
    for_each_page(p, [&](page_count page) {
        *reinterpret_cast<volatile std::byte*>(memory + std::size_t{page} * page_size) =
            std::byte{1};
    });
}

class bare_evict {
  public:
    explicit bare_evict(const pattern& p) : pattern_(p) {
        std::vector<std::byte> contents(page_size, std::byte{0x5a});
        for_each_page(
            p, [&](page_count page) { guest_uffd_.copy(guest_.page(page), contents.data(), 1); });
    }
    /// ns per page, a sample per window.
    samples run() {
        write_all(pattern_, guest_.page(0));
        samples out;
        for (page_count w = 0; w < windows; ++w) {
            const page_count first = w * cluster_pages;
            const std::uint64_t start = now_ns();
            frames_uffd_.move(frames_.page(first), guest_.page(first), pattern_.span());
            out.push_back(static_cast<double>(now_ns() - start) / pattern_.count);
        }
        guest_uffd_.move(guest_.page(0), frames_.page(0), pages);
        return out;
    }

  private:
    pattern pattern_;
    bare_memory guest_{pages};
    bare_memory frames_{pages};
    bare_uffd guest_uffd_{guest_, UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP};
    bare_uffd frames_uffd_{frames_, UFFDIO_REGISTER_MODE_WP};
};

class engine_evict {
  public:
    explicit engine_evict(const pattern& p) : pattern_(p) {
        for_each_page(p, [&](page_count page) { world_.populate({page}); });
    }
    samples run() {
        const std::uint64_t evicted = world_.core().counts.evicted_pages.load();
        write_all(pattern_, world_.memory());
        world_.begin_step();
        samples out;
        for (page_count w = 0; w < windows; ++w) {
            const std::uint64_t start = now_ns();
            const evict_status how = world_.evicts().evict_cluster();
            out.push_back(static_cast<double>(now_ns() - start) / pattern_.count);
            UFFDMM_CHECK(how == evict_status::done, "there is a window left to evict");
        }
        UFFDMM_CHECK(world_.core().counts.evicted_pages.load() - evicted ==
                         std::uint64_t{windows} * pattern_.count,
                     "every page was evicted");
        world_.take_all_back();
        return out;
    }

  private:
    pattern pattern_;
    engine_world world_{pages, "fifo"};
};

/// A thread of the process that runs on another CPU: every flush has to interrupt it.
class neighbour {
  public:
    explicit neighbour(int cpu) {
        const pinned there(cpu);
        thread_ = std::thread([this] {
            while (!stop_.load(std::memory_order_relaxed)) {
            }
        });
    }
    neighbour(const neighbour&) = delete;
    neighbour& operator=(const neighbour&) = delete;
    ~neighbour() {
        stop_.store(true, std::memory_order_relaxed);
        thread_.join();
    }

  private:
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

comparison compare(const pattern& p, const std::string& name, unsigned rounds) {
    comparison row(name, wanted);
    bare_evict bare(p);
    engine_evict engine(p);
    for (unsigned round = 0; round <= rounds; ++round) {
        const samples base = bare.run();
        const samples other = engine.run();
        if (round != 0) // warming up
            row.add(base, other);
    }
    return row;
}

int run(int argc, char** argv) {
    const compare_options options = parse_options(argc, argv);
    const auto cpus = cpus_for(placement::spinning);
    const pinned here(cpus_for(placement::same_cpu)->faulting);
    std::vector<comparison> all;
    for (const bool busy : {false, true}) {
        if (busy && !cpus)
            continue;
        std::optional<neighbour> other;
        if (busy)
            other.emplace(cpus->answering);
        for (const pattern& p : patterns) {
            const std::string name =
                std::string("evict/") + p.name + (busy ? "/neighbour" : "/alone");
            if (options.selects(name))
                all.push_back(compare(p, name, options.rounds));
        }
    }
    print(all, "bare us", "engine us");
    return options.json.empty() || write_json(all, options.json) ? 0 : 1;
}

} // namespace
} // namespace uffdmm::bench

int main(int argc, char** argv) {
    return uffdmm::bench::run(argc, argv);
}
