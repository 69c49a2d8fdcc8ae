// SPDX-License-Identifier: BSD-3-Clause
#include "support/comparison.hpp"

#include <cstdio>
#include <fstream>

#include <nlohmann/json.hpp>

namespace uffdmm::bench {
namespace {

nlohmann::json to_json(const summary& s) {
    return {{"p25", s.p25}, {"median", s.median}, {"p75", s.p75}};
}

} // namespace

void comparison::add(const samples& base, const samples& other) {
    if (base.empty() || other.empty())
        return;
    const double b = summarize(base).median;
    const double o = summarize(other).median;
    base_.push_back(b);
    other_.push_back(o);
    ratios_.push_back(o / b);
    added_.push_back(o - b);
}

bool comparison::reached() const {
    const bool added_too_much = target_.added_ns != 0 && added_ns().median > target_.added_ns;
    return ratio().median <= target_.ratio && !added_too_much;
}

void print(const std::vector<comparison>& all, const char* base, const char* other) {
    std::printf("%-36s %10s %10s %6s %15s %9s %6s  %s\n", "", base, other, "ratio", "quartiles",
                "added us", "share", "target");
    for (const comparison& c : all) {
        if (c.pairs() == 0)
            continue;
        const summary r = c.ratio();
        const char* verdict = !c.has_target() ? "" : c.reached() ? "reached" : "missed";
        std::printf("%-36s %10.2f %10.2f %6.2f   %5.2f - %5.2f %9.2f %5.0f%%  %s\n",
                    c.name().c_str(), c.base().median / 1000, c.other().median / 1000, r.median,
                    r.p25, r.p75, c.added_ns().median / 1000, c.share() * 100, verdict);
    }
}

bool write_json(const std::vector<comparison>& all, const std::string& path) {
    nlohmann::json rows = nlohmann::json::array();
    for (const comparison& c : all) {
        if (c.pairs() == 0)
            continue;
        nlohmann::json row{{"name", c.name()},
                           {"pairs", c.pairs()},
                           {"share", c.share()},
                           {"base_ns", to_json(c.base())},
                           {"library_ns", to_json(c.other())},
                           {"ratio", to_json(c.ratio())},
                           {"added_ns", to_json(c.added_ns())}};
        if (c.has_target())
            row["reached"] = c.reached();
        rows.push_back(row);
    }
    std::ofstream file(path);
    file << rows.dump(1) << '\n';
    if (file.flush())
        return true;
    std::fprintf(stderr, "cannot write %s\n", path.c_str());
    return false;
}

} // namespace uffdmm::bench
