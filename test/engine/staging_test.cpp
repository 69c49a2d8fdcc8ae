// SPDX-License-Identifier: BSD-3-Clause
#include "uffdmm/engine/staging.hpp"

#include <algorithm>
#include <deque>
#include <random>
#include <vector>

#include "support/catch.hpp"
#include "support/seed.hpp"

namespace {

using namespace uffdmm;

enum class content : std::uint8_t { empty, staged, kept, storing, dead };

/// Staging beside a plain model of it: what each frame holds, and where each cluster is.
class staging_model {
  public:
    using fate = staging::fate;
    static constexpr page_count clusters = 12;
    static constexpr page_count frames = clusters * cluster_pages;

    explicit staging_model(std::uint64_t seed)
        : random_(seed), real_(frames + 17), frames_(frames, content::empty),
          where_(clusters, cluster::place::free) {}

    void step() {
        switch (random_() % 11) {
        case 10:
            join_kept();
            break;
        case 0:
        case 1:
            fill();
            break;
        case 2:
        case 3:
            drain_oldest();
            break;
        case 4:
            leave_staging([this](frame_index f) { real_.kill(f); }, content::dead);
            break;
        case 5:
            leave_staging([this](frame_index f) { real_.vacate(f); }, content::empty);
            break;
        case 6:
        case 7:
        case 8:
            for (int i = 0; i < 16; ++i)
                end_storing();
            break;
        default:
            release(random_() % 2 == 0, 1 + random_() % 6);
        }
        check();
    }

    void empty_completely() {
        for (page_count f = 0; f < frames; ++f) {
            if (frames_[f] == content::storing)
                end_storing_of(f, fate::dead);
            else if (is_staged(f))
                kill(f);
        }
        while (count(content::dead) != 0)
            release(true, 64);
        check();
        REQUIRE(real_.taken() == 0);
    }

  private:
    [[nodiscard]] page_count count(content what) const {
        return static_cast<page_count>(std::count(frames_.begin(), frames_.end(), what));
    }
    [[nodiscard]] bool lives(page_count c) const {
        const auto first = frames_.begin() + c * cluster_pages;
        return std::any_of(first, first + cluster_pages, [](content what) {
            return what == content::staged || what == content::kept || what == content::storing;
        });
    }
    [[nodiscard]] bool is_staged(page_count f) const {
        return frames_[f] == content::staged || frames_[f] == content::kept;
    }
    [[nodiscard]] bool has(page_count c, content what) const {
        const auto first = frames_.begin() + c * cluster_pages;
        return std::find(first, first + cluster_pages, what) != first + cluster_pages;
    }
    [[nodiscard]] page_count number_of(const cluster& c) const {
        return real_.frame_of(c, 0).value / cluster_pages;
    }

    /// Becomes the youngest, unless it is listed already or holds nothing to be offered any more.
    void into_fifo(page_count c) {
        if (!settled(c) && where_[c] != cluster::place::fifo) {
            where_[c] = cluster::place::fifo;
            fifo_.push_back(c);
        }
    }
    /// Without contents, or with those alone that are kept, it has a place of its own.
    bool settled(page_count c) {
        if (lives(c) && (has(c, content::staged) || has(c, content::storing)))
            return false;
        std::erase(fifo_, c);
        where_[c] = lives(c) ? cluster::place::kept : cluster::place::finished;
        return true;
    }
    void fill() {
        const page_index base{static_cast<std::uint32_t>(random_() % 1000) * cluster_pages};
        cluster* c = real_.take(base);
        REQUIRE((c != nullptr) ==
                (std::find(where_.begin(), where_.end(), cluster::place::free) != where_.end()));
        if (c == nullptr)
            return;
        const page_count number = number_of(*c);
        REQUIRE(where_[number] == cluster::place::free);
        REQUIRE(c->base == base);
        const unsigned dense = static_cast<unsigned>(random_() % 5); // 0: none could be moved
        for (unsigned i = 0; i < cluster_pages; ++i) {
            if (random_() % 4 >= dense)
                continue;
            real_.add(*c, i);
            frames_[number * cluster_pages + i] = content::staged;
        }
        real_.commit(*c);
        into_fifo(number);
    }

    /// More pages of the window of a cluster whose pages are all kept.
    void join_kept() {
        const auto f = static_cast<page_count>(random_() % frames);
        if (!is_staged(f))
            return;
        const page_count number = f / cluster_pages;
        std::uint64_t more = 0;
        bool room = true;
        for (unsigned i = 0; i < cluster_pages; ++i) {
            const content what = frames_[number * cluster_pages + i];
            if (random_() % 8 != 0 || (what != content::empty && what != content::dead))
                continue;
            more |= bit(i);
            room &= what == content::empty;
        }
        cluster* c = real_.take_kept({f}, more);
        REQUIRE((c != nullptr) == (room && where_[number] == cluster::place::kept));
        if (c == nullptr)
            return;
        REQUIRE(number_of(*c) == number);
        if (random_() % 4 == 0 || more == 0) {
            real_.give_back(*c);
            return;
        }
        for (unsigned i = 0; i < cluster_pages; ++i)
            if ((more & bit(i)) != 0) {
                real_.add(*c, i);
                frames_[number * cluster_pages + i] = content::staged;
            }
        real_.commit(*c);
        into_fifo(number);
    }

    void drain_oldest() {
        cluster* c = real_.pop_oldest();
        REQUIRE((c != nullptr) == !fifo_.empty());
        if (c == nullptr)
            return;
        const page_count number = number_of(*c);
        REQUIRE(number == fifo_.front());
        fifo_.pop_front();
        where_[number] = cluster::place::draining;
        for (unsigned i = 0; i < cluster_pages; ++i) {
            const page_count f = number * cluster_pages + i;
            if (frames_[f] != content::staged)
                continue;
            switch (random_() % 3) {
            case 0:
                real_.start_storing({f});
                frames_[f] = content::storing;
                break;
            case 1:
                kill(f);
                break;
            default:
                break; // no tier for it now
            }
        }
        if (where_[number] == cluster::place::draining && !has(number, content::storing)) {
            real_.requeue(*c);
            into_fifo(number);
        }
    }

    void kill(page_count f) {
        real_.kill({f});
        frames_[f] = content::dead;
        (void)settled(f / cluster_pages);
    }

    template <typename Leave>
    void leave_staging(Leave&& leave, content after) {
        const auto f = static_cast<page_count>(random_() % frames);
        if (!is_staged(f))
            return;
        leave(frame_index{f});
        frames_[f] = after;
        (void)settled(f / cluster_pages);
    }

    void end_storing() {
        const auto f = static_cast<page_count>(random_() % frames);
        if (frames_[f] == content::storing)
            end_storing_of(
                f, static_cast<fate>(std::max<int>(static_cast<int>(random_() % 6) - 3, 0)));
    }
    void end_storing_of(page_count f, fate then) {
        real_.end_storing({f}, then);
        frames_[f] = then == fate::dead     ? content::dead
                     : then == fate::staged ? content::staged
                                            : content::kept;
        if (!has(f / cluster_pages, content::storing))
            into_fifo(f / cluster_pages);
    }

    void release(bool partial, std::size_t max_runs) {
        page_count held = 0;
        const page_count told = real_.release(partial, max_runs, [&](auto runs) {
            REQUIRE(runs.size() <= max_runs);
            for (const frame_run& run : runs)
                for (page_count f = run.first.value; f < run.first.value + run.count; ++f)
                    held += release_frame(f, partial);
        });
        REQUIRE(told == held);
        for (page_count c = 0; c < clusters; ++c)
            if (where_[c] == cluster::place::finished && !has(c, content::dead) && real_is_free(c))
                where_[c] = cluster::place::free;
    }
    page_count release_frame(page_count f, bool partial) {
        const page_count c = f / cluster_pages;
        REQUIRE((where_[c] == cluster::place::finished ||
                 (partial && where_[c] != cluster::place::free)));
        REQUIRE_FALSE(is_staged(f));
        REQUIRE(frames_[f] != content::storing);
        const bool was_dead = frames_[f] == content::dead;
        if (where_[c] != cluster::place::finished)
            REQUIRE(was_dead);
        frames_[f] = content::empty;
        return was_dead ? 1 : 0;
    }
    [[nodiscard]] bool real_is_free(page_count c) { return real_place(c) == cluster::place::free; }
    /// Those that were never taken have no descriptor yet.
    [[nodiscard]] cluster::place real_place(page_count c) {
        return c < real_.clusters() ? real_.cluster_of({c * cluster_pages}).where
                                    : cluster::place::free;
    }

    void check() {
        REQUIRE(real_.staged() == count(content::staged) + count(content::kept));
        REQUIRE(real_.kept() == count(content::kept));
        REQUIRE(real_.storing() == count(content::storing));
        REQUIRE(real_.dead() == count(content::dead));
        REQUIRE(real_.taken() == frames - count(content::empty));
        REQUIRE(real_.fifo_size() == fifo_.size());
        for (page_count c = 0; c < clusters; ++c)
            REQUIRE(real_place(c) == where_[c]);
    }

    std::mt19937_64 random_;
    staging real_;
    std::vector<content> frames_;
    std::vector<cluster::place> where_;
    std::deque<page_count> fifo_; ///< oldest first
};

TEST_CASE("staging: frames and clusters go where a plain model says, and none is lost") {
    UFFDMM_INFO_SEED();
    staging_model model(test::seed());
    for (int i = 0; i < 20'000; ++i)
        model.step();
    model.empty_completely();
}

TEST_CASE("staging: frames and clusters translate into each other") {
    staging s(256);
    cluster* a = s.take({64});
    cluster* b = s.take({0});
    REQUIRE(a != nullptr);
    REQUIRE(b != nullptr);
    for (unsigned i = 0; i < cluster_pages; ++i) {
        REQUIRE(&s.cluster_of(s.frame_of(*a, i)) == a);
        REQUIRE(&s.cluster_of(s.frame_of(*b, i)) == b);
        REQUIRE(staging::index_of(s.frame_of(*b, i)) == i);
    }
    s.commit(*a);
    s.commit(*b);
}

TEST_CASE("staging: only clusters that were in use have descriptors") {
    staging s(10'000 * cluster_pages);
    REQUIRE(s.memory_bytes() == 0);
    REQUIRE(s.has_free_cluster());
    for (page_index base{0}; base.value < 200 * cluster_pages; base = base + cluster_pages) {
        cluster* c = s.take(base); // one at a time: each gets the same one
        s.add(*c, 0);
        s.commit(*c);
        s.kill(s.frame_of(*c, 0));
        (void)s.release(false, 1, [](auto) {});
    }
    REQUIRE(s.clusters() == 1);
    REQUIRE(s.memory_bytes() == page_size);
}

TEST_CASE("staging: the holes of a finished cluster are released with it") {
    // Reading a hole of the arena has mapped the zero page there.
    staging s(64);
    cluster* c = s.take({0});
    s.add(*c, 5);
    s.commit(*c);
    s.kill(s.frame_of(*c, 5));
    REQUIRE(s.has_finished());
    std::vector<frame_run> runs;
    const page_count held = s.release(
        false, 64, [&](std::span<const frame_run> r) { runs.assign(r.begin(), r.end()); });
    REQUIRE(held == 1);
    REQUIRE(runs.size() == 1);
    REQUIRE(runs[0].count == cluster_pages);
    REQUIRE(s.has_free_cluster());
}

} // namespace
