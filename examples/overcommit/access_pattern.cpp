// SPDX-License-Identifier: BSD-3-Clause
#include "overcommit/access_pattern.hpp"

#include <algorithm>
#include <numeric>

#include "overcommit/random.hpp"
#include "overcommit/zipf.hpp"
#include "uffdmm/check.hpp"

namespace overcommit {
namespace {

using std::chrono::nanoseconds;

/// Where thread t of n starts: the threads are spread evenly.
std::uint64_t start_of(std::uint64_t pages, unsigned thread, unsigned threads) {
    return pages * thread / threads;
}

std::uint64_t seed_of(const pattern_plan& plan, unsigned thread) {
    return mix(plan.seed + mix(thread + 1) + plan.stream);
}

class uniform_pattern final : public access_pattern {
  public:
    uniform_pattern(const pattern_plan& plan, unsigned thread)
        : pages_(plan.pages), random_(seed_of(plan, thread)) {}
    std::uint64_t next(nanoseconds) noexcept override { return random_.below(pages_); }

  private:
    std::uint64_t pages_;
    random_source random_;
};

/// A bijection of 0 .. n-1 that takes neighbours far apart: k → k * m + c (mod n), m coprime to n.
class scatter {
  public:
    scatter(std::uint64_t n, std::uint64_t seed) : n_(n), offset_(mix(seed) % n) {
        constexpr double golden = 0.6180339887498949;
        multiplier_ =
            std::max<std::uint64_t>(1, static_cast<std::uint64_t>(static_cast<double>(n) * golden));
        while (std::gcd(multiplier_, n_) != 1)
            ++multiplier_;
    }
    [[nodiscard]] std::uint64_t operator()(std::uint64_t k) const noexcept {
        return (k * multiplier_ + offset_) % n_; // both factors are below 2^32
    }

  private:
    std::uint64_t n_;
    std::uint64_t multiplier_ = 1;
    std::uint64_t offset_;
};

class zipf_pattern final : public access_pattern {
  public:
    zipf_pattern(const pattern_plan& plan, unsigned thread)
        : ranks_(plan.pages, plan.skew), page_of_(plan.pages, plan.seed),
          random_(seed_of(plan, thread)) {}
    std::uint64_t next(nanoseconds) noexcept override {
        return page_of_(ranks_.sample(random_) - 1);
    }

  private:
    zipf_distribution ranks_;
    scatter page_of_;
    random_source random_;
};

/// Every `stride`-th page; each round through the region starts one page after the last.
class stride_pattern final : public access_pattern {
  public:
    stride_pattern(const pattern_plan& plan, std::uint64_t stride, unsigned thread,
                   unsigned threads)
        : pages_(plan.pages), stride_(std::min<std::uint64_t>(stride, plan.pages)),
          page_(start_of(plan.pages, thread, threads)) {}
    std::uint64_t next(nanoseconds) noexcept override {
        const std::uint64_t page = page_;
        page_ += stride_;
        if (page_ >= pages_)
            page_ = (page % stride_ + 1) % stride_;
        return page;
    }

  private:
    std::uint64_t pages_;
    std::uint64_t stride_;
    std::uint64_t page_;
};

class scan_zipf_pattern final : public access_pattern {
  public:
    scan_zipf_pattern(const pattern_plan& plan, unsigned thread, unsigned threads)
        : hot_(plan, thread), scan_(plan, 1, thread, threads), random_(mix(seed_of(plan, thread))),
          scan_percent_(plan.scan_percent) {}
    std::uint64_t next(nanoseconds elapsed) noexcept override {
        return random_.chance(scan_percent_) ? scan_.next(elapsed) : hot_.next(elapsed);
    }

  private:
    zipf_pattern hot_;
    stride_pattern scan_;
    random_source random_;
    double scan_percent_;
};

class phases_pattern final : public access_pattern {
  public:
    phases_pattern(const pattern_plan& plan, unsigned thread)
        : plan_(plan), random_(seed_of(plan, thread)) {
        const double share = plan.working_set_percent / 100.0;
        set_pages_ = std::clamp<std::uint64_t>(
            static_cast<std::uint64_t>(static_cast<double>(plan.pages) * share), 1, plan.pages);
    }
    std::uint64_t next(nanoseconds elapsed) noexcept override {
        // The working set follows from the number of the phase, so that all threads agree on it.
        const auto phase = static_cast<std::uint64_t>(elapsed / plan_.phase);
        const std::uint64_t first = mix(plan_.seed + mix(phase + 1)) % plan_.pages;
        return (first + random_.below(set_pages_)) % plan_.pages;
    }

  private:
    pattern_plan plan_;
    random_source random_;
    std::uint64_t set_pages_ = 1;
};

} // namespace

std::unique_ptr<access_pattern> make_pattern(const pattern_plan& plan, unsigned thread,
                                             unsigned threads) {
    switch (plan.kind) {
    case pattern_kind::uniform:
        return std::make_unique<uniform_pattern>(plan, thread);
    case pattern_kind::zipf:
        return std::make_unique<zipf_pattern>(plan, thread);
    case pattern_kind::sequential:
        return std::make_unique<stride_pattern>(plan, 1, thread, threads);
    case pattern_kind::stride:
        return std::make_unique<stride_pattern>(plan, plan.stride, thread, threads);
    case pattern_kind::scan_zipf:
        return std::make_unique<scan_zipf_pattern>(plan, thread, threads);
    case pattern_kind::phases:
        return std::make_unique<phases_pattern>(plan, thread);
    }
    UFFDMM_CHECK(false, "a pattern of the list");
    return nullptr;
}

} // namespace overcommit
