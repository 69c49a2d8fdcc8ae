// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Decides by measurement whether the threads of the guest that fault and those of the library
/// should share one CPU.
///
///              a trial is due                      eight sections
///     apart ───────────────────► apart, together, … in turns ──► together, unless that is clearly
///       ▲                                                          │ slower (a tenth)
///       └─────── no faults to speak of ◄───────────────────────────┘
///
/// While a thread waits for its fault the shard works, and while it runs the shard has little to
/// do: on one CPU they take turns, which costs no interrupt, no wake-up of a sleeping CPU and no
/// TLB flush elsewhere. Where several threads have work of their own, or waking is cheap, two CPUs
/// are faster. A trial finds out, and the less often the longer its answer stays the same.

#include <algorithm>
#include <array>
#include <cstdint>

namespace uffdmm {

/// Owner: a shard thread. Knows nothing of threads or clocks.
class gather_chooser {
  public:
    static constexpr std::uint64_t section_ns = 20'000'000;
    /// What is not counted of a section: the threads move, caches warm up.
    static constexpr std::uint64_t settle_ns = 2'000'000;
    static constexpr unsigned sections = 8;
    static constexpr std::uint64_t first_interval_ns = 100'000'000;
    static constexpr std::uint64_t last_interval_ns = 3'200'000'000;
    /// Pages a second below which there is nothing to be gained.
    static constexpr std::uint64_t least_pages = 500;

    /// After a round of the shard that began at `now_ns`; `pages`: brought in so far. Returns
    /// whether the threads should be together now.
    [[nodiscard]] bool step(std::uint64_t now_ns, std::uint64_t pages) {
        if (began_ns_ == 0)
            begin(now_ns, pages);
        const std::uint64_t passed_ns = now_ns - began_ns_;
        if (!settled_ && passed_ns >= settle_ns)
            count_from(now_ns, pages);
        else if (settled_ && passed_ns >= section_ns)
            end_section(now_ns, pages);
        return together_;
    }

    /// They cannot be together: not to be asked again soon.
    void not_possible(std::uint64_t now_ns) {
        together_ = chosen_ = false;
        tried_ = false;
        left_ = 0;
        interval_ns_ = last_interval_ns;
        due_ns_ = now_ns + interval_ns_;
    }

    /// They are not together though they were to be: what is counted now says nothing. The trial,
    /// if there is one, is put off.
    void disturbed(std::uint64_t now_ns) {
        if (left_ == 0)
            return;
        put_off(now_ns);
        together_ = chosen_;
    }

    /// Faults came in the last section.
    [[nodiscard]] bool busy() const { return busy_; }

  private:
    void begin(std::uint64_t now_ns, std::uint64_t pages) {
        began_ns_ = now_ns;
        settled_ = false;
        counted_from_ns_ = now_ns;
        pages_before_ = pages;
    }
    void count_from(std::uint64_t now_ns, std::uint64_t pages) {
        settled_ = true;
        counted_from_ns_ = now_ns;
        pages_before_ = pages;
    }

    void end_section(std::uint64_t now_ns, std::uint64_t pages) {
        const std::uint64_t span_ns = std::max<std::uint64_t>(now_ns - counted_from_ns_, 1);
        const std::uint64_t per_second = (pages - pages_before_) * 1'000'000'000 / span_ns;
        const bool in_trial = left_ != 0;
        begin(now_ns, pages);
        // In a trial few pages may be what being together costs.
        if (per_second < least_pages && !(in_trial && together_)) {
            end_faults(now_ns);
        } else if (!busy_) {
            busy_ = just_resumed_ = true;
            together_ = chosen_;
            due_ns_ = std::max(due_ns_, now_ns + section_ns);
        } else {
            just_resumed_ = false;
            if (in_trial)
                end_trial_section(now_ns, per_second);
            else if (now_ns >= due_ns_)
                begin_trial();
        }
    }

    void end_faults(std::uint64_t now_ns) {
        if (left_ != 0)
            put_off(now_ns);
        // Faults that end as soon as they come again, if the threads are together: it is that.
        if (just_resumed_ && together_) {
            chosen_ = tried_ = false;
            put_off(now_ns);
        }
        busy_ = together_ = false;
    }

    void begin_trial() {
        sums_ = {};
        left_ = sections;
        together_ = !chosen_;
    }
    void end_trial_section(std::uint64_t now_ns, std::uint64_t per_second) {
        sums_[together_ ? 1 : 0] += per_second;
        together_ = !together_;
        if (--left_ == 0)
            decide(now_ns);
    }
    /// No answer: the next trial comes later.
    void put_off(std::uint64_t now_ns) {
        left_ = 0;
        interval_ns_ = std::min(2 * interval_ns_, last_interval_ns);
        due_ns_ = now_ns + interval_ns_;
    }

    /// Nearly as fast is good enough: it needs less of the CPUs. What was chosen stays unless the
    /// other has been clearly faster: one trial is noisy, so the one before counts half.
    void decide(std::uint64_t now_ns) {
        const auto apart = static_cast<std::int64_t>(sums_[0]);
        const auto together = static_cast<std::int64_t>(sums_[1]);
        const std::int64_t lead =
            (together - apart) * 1000 / std::max<std::int64_t>(together + apart, 1);
        lead_ = tried_ ? (lead_ + lead) / 2 : lead;
        tried_ = true;
        const bool better = lead_ >= (chosen_ ? -60 : -15);
        interval_ns_ =
            better == chosen_ ? std::min(2 * interval_ns_, last_interval_ns) : first_interval_ns;
        chosen_ = together_ = better;
        due_ns_ = now_ns + interval_ns_;
    }

    bool chosen_ = false;   ///< what the last trial said
    bool together_ = false; ///< what is to be now
    bool busy_ = false;
    bool just_resumed_ = false;           ///< this is the first section with faults
    unsigned left_ = 0;                   ///< sections of a trial
    std::array<std::uint64_t, 2> sums_{}; ///< pages a second, of sections apart and together
    std::int64_t lead_ = 0; ///< of being together, in permille of both; of the latest trials
    bool tried_ = false;
    std::uint64_t began_ns_ = 0; ///< of the section
    bool settled_ = false;       ///< the section is being counted
    std::uint64_t counted_from_ns_ = 0;
    std::uint64_t pages_before_ = 0;
    std::uint64_t interval_ns_ = first_interval_ns;
    std::uint64_t due_ns_ = 0; ///< the next trial
};

} // namespace uffdmm
