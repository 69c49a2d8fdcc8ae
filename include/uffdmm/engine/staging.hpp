// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The staged list: pages that left the guest and are still in memory, oldest first.
///
/// Frames come in clusters of 64. A cluster takes pages of one aligned 64-page window of the shard,
/// page base+i in frame first+i, so one ranged move fills it and one run empties it.
///
///     free ─take─► taken ─commit─► fifo ─pop_oldest─► draining ─last page gone─► finished ─┐
///      ▲             ▲              ▲                    │ │                               │
///      │             │              └──── requeue ───────┘ │ (store failed)                │
///      │             └──take_kept── kept ◄─────────────────┘ (no tier wants what is left)  │
///      └───────────────────────────── released ◄───────────────────────────────────────────┘
///
/// Each frame that holds memory has exactly one of three bits:
///   staged   the frame is the authoritative copy of its page
///   storing  a tier reads the frame; authoritative only while the page entry still names it
///   dead     nobody needs the contents; the memory is taken until released
///
/// A staged frame may be `kept` too: every tier has turned its contents down (they do not
/// compress) and would again, so it is offered to none until the guest takes the page back.

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <span>

#include <boost/intrusive/list.hpp>

#include "uffdmm/check.hpp"
#include "uffdmm/detail/growing_table.hpp"
#include "uffdmm/engine/kernel.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

/// Pages in a cluster: as many as fit one 64-bit mask.
inline constexpr page_count cluster_pages = 64;

[[nodiscard]] constexpr std::uint64_t bit(unsigned index) {
    return std::uint64_t{1} << index;
}
[[nodiscard]] constexpr page_count count_bits(std::uint64_t mask) {
    return static_cast<page_count>(std::popcount(mask));
}

/// Marks the hook by which a cluster is in the list of those with dead frames.
struct holed_tag;

struct cluster : boost::intrusive::list_base_hook<>,
                 boost::intrusive::list_base_hook<boost::intrusive::tag<holed_tag>> {
    enum class place : std::uint8_t { free, taken, fifo, draining, kept, finished };

    page_index base; ///< first page of the window
    place where = place::free;
    std::uint64_t staged = 0;
    std::uint64_t kept = 0; ///< of the staged ones
    std::uint64_t storing = 0;
    std::uint64_t dead = 0;
};

/// Owner: the shard. Never allocates after construction.
class staging {
  public:
    explicit staging(page_count frames)
        : clusters_(frames / cluster_pages), most_(frames / cluster_pages) {}
    staging(const staging&) = delete;
    staging& operator=(const staging&) = delete;
    ~staging() {
        holed_.clear();
        for (list& l : lists_)
            l.clear();
    }

    [[nodiscard]] page_count staged() const { return staged_; }   ///< frames
    [[nodiscard]] page_count kept() const { return kept_; }       ///< staged frames
    [[nodiscard]] page_count storing() const { return storing_; } ///< frames
    [[nodiscard]] page_count dead() const { return dead_; }       ///< frames
    /// Frames that hold memory.
    [[nodiscard]] page_count taken() const { return staged_ + storing_ + dead_; }
    [[nodiscard]] bool has_free_cluster() const {
        return !lists_[static_cast<unsigned>(cluster::place::free)].empty() || clusters_.can_grow();
    }
    /// Clusters waiting to be drained.
    [[nodiscard]] std::size_t fifo_size() const {
        return lists_[static_cast<unsigned>(cluster::place::fifo)].size();
    }
    /// Clusters that hold contents which tiers may take.
    [[nodiscard]] std::size_t living() const {
        return fifo_size() + lists_[static_cast<unsigned>(cluster::place::draining)].size();
    }
    [[nodiscard]] bool has_finished() const {
        return !lists_[static_cast<unsigned>(cluster::place::finished)].empty();
    }
    /// Clusters that were ever taken.
    [[nodiscard]] page_count clusters() const { return clusters_.size(); }
    /// Descriptors of the clusters that were ever taken.
    [[nodiscard]] byte_count memory_bytes() const { return clusters_.memory_bytes(); }

    /// A free cluster for the window at `base`, or nullptr. End with commit().
    [[nodiscard]] cluster* take(page_index base) {
        list& free = list_of(cluster::place::free);
        if (free.empty()) {
            if (!clusters_.can_grow())
                return nullptr;
            free.push_back(clusters_[clusters_.add()]);
        }
        cluster& c = free.front();
        move(c, cluster::place::taken);
        c.base = base;
        return &c;
    }
    /// Whether what is kept takes so many clusters that more of it should join them.
    [[nodiscard]] bool crowded() const {
        return lists_[static_cast<unsigned>(cluster::place::kept)].size() > most_ / 2 ||
               !has_free_cluster();
    }
    /// The cluster of `frame`, whose pages are all kept, so that `more` pages of its window can
    /// join them; nullptr if it is not such a one, or has no room for them. End with commit().
    [[nodiscard]] cluster* take_kept(frame_index frame, std::uint64_t more) {
        cluster& c = cluster_of(frame);
        if (c.where != cluster::place::kept || (c.dead & more) != 0)
            return nullptr;
        move(c, cluster::place::taken);
        return &c;
    }
    /// Page base+index is in its frame now.
    void add(cluster& c, unsigned index) {
        c.staged |= bit(index);
        ++staged_;
    }
    /// Nothing was put in: it is what it was before, free or kept.
    void give_back(cluster& c) {
        move(c, c.staged == 0 ? cluster::place::free : cluster::place::kept);
    }
    /// The youngest from now on.
    void commit(cluster& c) { settle(c, cluster::place::fifo); }
    /// The oldest from now on: nobody will want its pages back.
    void commit_oldest(cluster& c) {
        commit(c);
        list& fifo = list_of(cluster::place::fifo);
        if (c.where == cluster::place::fifo)
            fifo.splice(fifo.begin(), fifo, list::s_iterator_to(c));
    }

    /// The oldest cluster, for swapping out; nullptr if there is none.
    [[nodiscard]] cluster* pop_oldest() {
        list& fifo = list_of(cluster::place::fifo);
        return fifo.empty() ? nullptr : pop(fifo.front());
    }
    /// The same for the cluster that holds `frame`; nullptr if it is being drained already, or
    /// holds only what is kept.
    [[nodiscard]] cluster* pop_holder(frame_index frame) {
        cluster& c = cluster_of(frame);
        return c.where == cluster::place::fifo ? pop(c) : nullptr;
    }
    /// Draining clusters that still have staged pages (their store failed, or did not start) become
    /// the youngest again.
    void requeue(cluster& c) { settle(c, cluster::place::fifo); }

    [[nodiscard]] frame_index frame_of(const cluster& c, unsigned index) const {
        return {clusters_.number_of(c) * cluster_pages + index};
    }
    [[nodiscard]] cluster& cluster_of(frame_index frame) {
        return clusters_[frame.value / cluster_pages];
    }
    [[nodiscard]] static unsigned index_of(frame_index frame) {
        return frame.value % cluster_pages;
    }

    /// Staged → dead: the contents are elsewhere, or unwanted.
    void kill(frame_index frame) {
        cluster& c = cluster_of(frame);
        clear_staged(c, index_of(frame));
        add_dead(c, bit(index_of(frame)));
        settle(c, c.where);
    }
    /// Staged → empty: the frame itself was moved away.
    void vacate(frame_index frame) {
        cluster& c = cluster_of(frame);
        clear_staged(c, index_of(frame));
        settle(c, c.where);
    }
    void start_storing(frame_index frame) {
        cluster& c = cluster_of(frame);
        clear_staged(c, index_of(frame));
        c.storing |= bit(index_of(frame));
        ++storing_;
    }
    /// What becomes of a frame when the tiers are done with it.
    enum class fate : std::uint8_t {
        dead,
        staged, ///< still the authoritative copy, to be offered again
        kept    ///< the same, not to be offered again
    };
    void end_storing(frame_index frame, fate then) {
        cluster& c = cluster_of(frame);
        const std::uint64_t mask = bit(index_of(frame));
        UFFDMM_CHECK((c.storing & mask) != 0, "the frame was being stored");
        c.storing &= ~mask;
        --storing_;
        if (then == fate::dead) {
            add_dead(c, mask);
        } else {
            c.staged |= mask;
            ++staged_;
            c.kept |= then == fate::kept ? mask : 0;
            kept_ += then == fate::kept ? 1 : 0;
        }
        if (c.storing == 0)
            settle(c, cluster::place::fifo);
    }

    /// Calls give_back(runs) once with up to `max_runs` runs of frames whose memory nobody needs;
    /// returns the number of frames that held memory. Finished clusters go whole; with `partial`
    /// so do the dead frames of living ones, whose other frames stay.
    template <typename GiveBack>
    page_count release(bool partial, std::size_t max_runs, GiveBack&& give_back);

  private:
    using list = boost::intrusive::list<cluster>;
    using holed_hook = boost::intrusive::list_base_hook<boost::intrusive::tag<holed_tag>>;
    using holed_list = boost::intrusive::list<cluster, boost::intrusive::base_hook<holed_hook>>;
    static constexpr std::size_t batch_runs = 64;

    [[nodiscard]] list& list_of(cluster::place place) {
        return lists_[static_cast<unsigned>(place)];
    }
    [[nodiscard]] cluster* pop(cluster& c) {
        move(c, cluster::place::draining);
        return &c;
    }
    void move(cluster& c, cluster::place to) {
        list_of(to).splice(list_of(to).end(), list_of(c.where), list::s_iterator_to(c));
        c.where = to;
    }
    /// Into `place`; to finished if no page is left in the cluster, to kept if no other is. Moving
    /// within the same list would make it young, so that is left out.
    void settle(cluster& c, cluster::place place) {
        const std::uint64_t alive = c.staged | c.storing;
        const auto to = alive == 0        ? cluster::place::finished
                        : alive == c.kept ? cluster::place::kept
                                          : place;
        if (to != c.where)
            move(c, to);
    }
    void add_dead(cluster& c, std::uint64_t mask) {
        if (c.dead == 0)
            holed_.push_back(c);
        c.dead |= mask;
        ++dead_;
    }
    /// Takes the first run of dead frames away from `c`.
    [[nodiscard]] frame_run pop_dead_run(cluster& c) {
        const auto start = static_cast<unsigned>(std::countr_zero(c.dead));
        const auto length = static_cast<unsigned>(std::countr_one(c.dead >> start));
        c.dead &= ~((length == 64 ? ~std::uint64_t{0} : bit(length) - 1) << start);
        if (c.dead == 0)
            holed_.erase(holed_list::s_iterator_to(c));
        return {frame_of(c, start), length};
    }
    void clear_staged(cluster& c, unsigned index) {
        UFFDMM_CHECK((c.staged & bit(index)) != 0, "the frame was staged");
        kept_ -= (c.kept & bit(index)) != 0 ? 1 : 0;
        c.staged &= ~bit(index);
        c.kept &= ~bit(index);
        --staged_;
    }

    growing_table<cluster> clusters_;
    page_count most_; ///< clusters
    std::array<list, 6> lists_;
    holed_list holed_; ///< clusters with dead frames, wherever they are
    page_count staged_ = 0;
    page_count kept_ = 0; ///< of the staged ones
    page_count storing_ = 0;
    page_count dead_ = 0;
};

template <typename GiveBack>
page_count staging::release(bool partial, std::size_t max_runs, GiveBack&& give_back) {
    std::array<frame_run, batch_runs> runs;
    std::size_t used = 0;
    page_count released = 0;
    max_runs = std::min(max_runs, batch_runs);

    list& finished = list_of(cluster::place::finished);
    std::size_t whole = 0;
    for (auto c = finished.begin(); c != finished.end() && used < max_runs; ++c, ++whole) {
        // All 64 frames, holes included: reading a hole has mapped the zero page into it.
        runs[used++] = {frame_of(*c, 0), cluster_pages};
        released += count_bits(c->dead);
        if (c->dead != 0)
            holed_.erase(holed_list::s_iterator_to(*c));
        c->dead = 0;
    }
    // Past this loop every cluster in the list is a living one, or there is no room for more runs.
    while (partial && used < max_runs && !holed_.empty()) {
        runs[used] = pop_dead_run(holed_.front());
        released += runs[used++].count;
    }
    if (used == 0)
        return 0;
    give_back(std::span<const frame_run>(runs.data(), used));
    for (; whole != 0; --whole)
        move(finished.front(), cluster::place::free);
    dead_ -= released;
    return released;
}

} // namespace uffdmm
