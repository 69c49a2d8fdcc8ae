// SPDX-License-Identifier: BSD-3-Clause

/// Not run unless asked for: unit-test "[file_tier_speed]" [-d yes]. Prints what the tier does and
/// what a bare libaio loop does on the same file in the same minute, alternating, and their ratio.
/// UFFDMM_TEST_DIR names the disk.

#include <chrono>
#include <cstdio>
#include <random>

#include "support/catch.hpp"
#include "tier/file/file_rig.hpp"

namespace {

using namespace uffdmm;
using namespace uffdmm::test;
using clock_type = std::chrono::steady_clock;

constexpr std::uint32_t file_pages = 64 * 1024; // 256 MiB
constexpr std::uint32_t run = 64;
constexpr unsigned rounds = 7;
constexpr auto round_time = std::chrono::milliseconds(400);

double seconds(clock_type::duration d) {
    return std::chrono::duration<double>(d).count();
}

/// What a round did, in I/Os per second and CPU time of the thread per I/O.
struct rate {
    double per_second = 0;
    double cpu_us = 0;
};

class stopwatch {
  public:
    [[nodiscard]] bool running() const { return clock_type::now() - start_ < round_time; }
    [[nodiscard]] rate result(std::uint64_t done) const {
        const auto n = static_cast<double>(done);
        return {n / seconds(clock_type::now() - start_), (cpu_us() - cpu_us_) / n};
    }

  private:
    static double cpu_us() {
        timespec used{};
        ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
        return static_cast<double>(used.tv_sec) * 1e6 + static_cast<double>(used.tv_nsec) / 1e3;
    }
    clock_type::time_point start_ = clock_type::now();
    double cpu_us_ = cpu_us();
};

/// libaio with nothing around it: `depth` I/Os of `pages` pages, each started again when it ends.
class bare_loop {
  public:
    bare_loop(file_store& store, unsigned depth, std::uint32_t pages, bool write)
        : store_(store), pages_(pages), write_(write),
          buffer_(mapping::anonymous(depth * pages * page_size)), controls_(depth),
          vectors_(depth) {
        std::fill_n(buffer_.data(), buffer_.size(), std::byte{42});
        REQUIRE(::io_setup(static_cast<int>(depth), &context_) == 0);
        for (unsigned i = 0; i < depth; ++i)
            vectors_[i] = {buffer_.data() + i * pages * page_size, pages * page_size};
    }
    ~bare_loop() { ::io_destroy(context_); }

    /// I/Os per second.
    rate measure() {
        const stopwatch watch;
        std::uint64_t done = 0;
        std::size_t under_way = 0;
        for (std::size_t i = 0; i < controls_.size(); ++i, ++under_way)
            submit(i);
        while (under_way != 0) {
            std::array<io_event, 64> events;
            const int n = ::io_getevents(context_, 1, 64, events.data(), nullptr);
            const bool more = watch.running();
            for (int i = 0; i < n; ++i, ++done) {
                if (more)
                    submit(static_cast<std::size_t>(events[static_cast<std::size_t>(i)].obj -
                                                    controls_.data()));
                else
                    --under_way;
            }
        }
        return watch.result(done);
    }

  private:
    void submit(std::size_t i) {
        iocb* const control = &controls_[i];
        const auto slot = static_cast<std::uint32_t>(random_() % (file_pages / pages_) * pages_);
        const auto offset = static_cast<long long>(store_.offset_of(slot));
        if (write_)
            ::io_prep_pwritev(control, store_.fd(), &vectors_[i], 1, offset);
        else
            ::io_prep_preadv(control, store_.fd(), &vectors_[i], 1, offset);
        REQUIRE(::io_submit(context_, 1, const_cast<iocb**>(&control)) == 1);
    }

    file_store& store_;
    std::uint32_t pages_;
    bool write_;
    mapping buffer_;
    std::vector<iocb> controls_;
    std::vector<iovec> vectors_;
    io_context_t context_ = nullptr;
    std::mt19937 random_{1};
};

/// Waits as a shard does: poll(2) on the descriptor when there is nothing to do.
void sleep_on(swap_tier& tier) {
    pollfd readable{tier.event_fd(), POLLIN, 0};
    (void)::poll(&readable, 1, -1);
}

class tier_reads {
  public:
    tier_reads(shard_rig& shard, const std::vector<slot_id>& slots, unsigned depth)
        : shard_(shard), slots_(slots), buffer_(mapping::anonymous(depth * page_size)),
          requests_(depth) {
        std::fill_n(buffer_.data(), buffer_.size(), std::byte{42});
    }
    rate measure() {
        const stopwatch watch;
        std::uint64_t done = 0;
        std::size_t under_way = requests_.size();
        bool more = true;
        shard_.client.on_load = [&](load_request& request) {
            UFFDMM_CHECK(request.status == tier_status::ok, "a page is read");
            ++done;
            if (more)
                load(request);
            else
                --under_way;
        };
        for (std::size_t i = 0; i < requests_.size(); ++i) {
            requests_[i].destination = buffer_.data() + i * page_size;
            load(requests_[i]);
        }
        while (under_way != 0) {
            sleep_on(shard_.tier());
            more = watch.running();
            shard_.tier().poll(shard_.client);
        }
        return watch.result(done);
    }

  private:
    void load(load_request& request) {
        request.slot = slots_[random_() % slots_.size()];
        request.status = tier_status::pending;
        load_request* const list[] = {&request};
        shard_.tier().load(list, shard_.client);
    }

    shard_rig& shard_;
    const std::vector<slot_id>& slots_;
    mapping buffer_;
    std::vector<load_request> requests_;
    std::mt19937 random_{1};
};

class tier_writes {
  public:
    tier_writes(shard_rig& shard, std::vector<slot_id>& slots, unsigned depth)
        : shard_(shard), slots_(slots), buffer_(mapping::anonymous(depth * run * page_size)),
          groups_(depth) {
        std::fill_n(buffer_.data(), buffer_.size(), std::byte{42});
    }
    /// Runs per second: 64 pages replace 64 that are released.
    rate measure() {
        const stopwatch watch;
        std::uint64_t done = 0;
        std::size_t under_way = groups_.size();
        bool more = true;
        shard_.client.on_store = [&](store_request& request) {
            UFFDMM_CHECK(request.status == tier_status::ok, "a page is written");
            group& g = groups_[request.owner];
            slots_[g.place * run + static_cast<std::size_t>(&request - g.requests.data())] =
                request.slot;
            if (--g.left != 0)
                return;
            ++done;
            if (more)
                store(request.owner);
            else
                --under_way;
        };
        for (std::size_t i = 0; i < groups_.size(); ++i)
            store(i);
        while (under_way != 0) {
            sleep_on(shard_.tier());
            more = watch.running();
            shard_.tier().poll(shard_.client);
        }
        return watch.result(done);
    }

  private:
    struct group {
        std::array<store_request, run> requests;
        std::size_t left = 0;
        std::size_t place = 0;
    };

    void store(std::size_t number) {
        group& g = groups_[number];
        const std::size_t stride = slots_.size() / run / groups_.size(); // no two on one place
        g.place = number * stride + random_() % stride;
        std::array<store_request*, run> list;
        for (std::size_t i = 0; i < run; ++i) {
            shard_.tier().release(slots_[g.place * run + i]);
            g.requests[i] = {};
            g.requests[i].owner = number;
            g.requests[i].contents = buffer_.data() + (number * run + i) * page_size;
            list[i] = &g.requests[i];
        }
        g.left = run;
        shard_.tier().store(list, shard_.client);
    }

    shard_rig& shard_;
    std::vector<slot_id>& slots_;
    mapping buffer_;
    std::vector<group> groups_;
    std::mt19937 random_{1};
};

double median(std::vector<double> list) {
    std::sort(list.begin(), list.end());
    return list[list.size() / 2];
}

template <typename Tier>
void compare(const std::string& what, bare_loop& bare, Tier& tier) {
    std::array<std::vector<double>, 5> seen; // rates, CPU times, ratios
    for (unsigned i = 0; i < rounds; ++i) {
        const rate b = bare.measure();
        const rate t = tier.measure();
        const double figures[] = {b.per_second, t.per_second, b.cpu_us, t.cpu_us,
                                  t.per_second / b.per_second};
        for (std::size_t k = 0; k < seen.size(); ++k)
            seen[k].push_back(figures[k]);
    }
    const auto [least, most] = std::minmax_element(seen[4].begin(), seen[4].end());
    std::printf("%-27s bare %7.0f/s %6.1f us CPU   tier %7.0f/s %6.1f us CPU   "
                "tier/bare %.2f (%.2f to %.2f)\n",
                what.c_str(), median(seen[0]), median(seen[2]), median(seen[1]), median(seen[3]),
                median(seen[4]), *least, *most);
}

TEST_CASE("file_tier: speed beside a bare libaio loop", "[.][file_tier_speed]") {
    const temporary_directory directory;
    file_tier_config config = file_config(directory.path(), bytes_of(file_pages) * 5 / 4);
    config.preallocate = true;
    const auto store = std::make_shared<file_store>(config);
    shard_rig shard(store);
    std::vector<slot_id> slots;
    for (std::uint32_t i = 0; i < file_pages * 5 / 4; i += run) // a first write is dearer
        for (const slot_id slot : shard.stored(keys(i, run)))
            slots.push_back(slot);
    shard.release({slots.begin() + file_pages, slots.end()});
    slots.resize(file_pages);
    for (const unsigned depth : {1u, 32u}) {
        const std::string what = "4 KiB random reads, depth " + std::to_string(depth);
        bare_loop bare(*store, depth, 1, false);
        tier_reads tier(shard, slots, depth);
        compare(what, bare, tier);
    }
    for (const unsigned depth : {1u, 8u}) {
        const std::string what = "64-page writes, depth " + std::to_string(depth);
        shard.client.on_load = nullptr;
        bare_loop bare(*store, depth, run, true); // clobbers pages: no reads after this
        tier_writes tier(shard, slots, depth);
        compare(what, bare, tier);
    }
}

} // namespace
