// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Two ways to do the same, measured in turns, so that a machine that gets slower or faster
/// meanwhile does so for both. A ratio is taken within each pair of rounds, never across them.

#include <string>
#include <vector>

#include "support/summary.hpp"

namespace uffdmm::bench {

/// What one way took, in ns: one sample per fault, or per page.
using samples = std::vector<double>;

/// Thresholds that `other` has to meet against `base`; 0 = none.
struct target {
    double ratio = 0;
    double added_ns = 0;
};

class comparison {
  public:
    comparison(std::string name, target wanted) : name_(std::move(name)), target_(wanted) {}

    /// One pair of rounds. A pair in which one way has no samples does not count.
    void add(const samples& base, const samples& other);
    /// What `other` is of all that could have been in its place, if it is not all: 0.1 = a tenth.
    void set_share(double share) { share_ = share; }

    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] std::size_t pairs() const { return ratios_.size(); }
    [[nodiscard]] summary base() const { return summarize(base_); }   ///< ns, medians of rounds
    [[nodiscard]] summary other() const { return summarize(other_); } ///< ns, medians of rounds
    [[nodiscard]] summary ratio() const { return summarize(ratios_); }
    [[nodiscard]] summary added_ns() const { return summarize(added_); }
    [[nodiscard]] double share() const { return share_; }
    [[nodiscard]] bool has_target() const { return target_.ratio != 0; }
    /// By the medians.
    [[nodiscard]] bool reached() const;

  private:
    std::string name_;
    target target_;
    double share_ = 1;
    std::vector<double> base_;
    std::vector<double> other_;
    std::vector<double> ratios_;
    std::vector<double> added_;
};

/// A readable table.
void print(const std::vector<comparison>& all, const char* base, const char* other);
/// Writes JSON; false with a message if the file can not be written.
[[nodiscard]] bool write_json(const std::vector<comparison>& all, const std::string& path);

} // namespace uffdmm::bench
