// SPDX-License-Identifier: BSD-3-Clause
#include "policy_sim/trace.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <memory>
#include <stdexcept>

#include "overcommit/access_pattern.hpp"
#include "overcommit/random.hpp"

namespace policy_sim {
namespace {

using overcommit::access_pattern;
using overcommit::pattern_kind;
using overcommit::random_source;
using std::chrono::nanoseconds;

constexpr nanoseconds touch_time{1000};

/// The generators of examples/overcommit, as a touch a microsecond.
class pattern_source {
  public:
    pattern_source(pattern_kind kind, const trace_size& size, uffdmm::page_count pages)
        : pattern_(overcommit::make_pattern(plan_of(kind, size, pages), 0, 1)) {}
    std::uint32_t next() {
        return static_cast<std::uint32_t>(pattern_->next(elapsed_ += touch_time));
    }

  private:
    static overcommit::pattern_plan plan_of(pattern_kind kind, const trace_size& size,
                                            uffdmm::page_count pages) {
        overcommit::pattern_plan plan;
        plan.kind = kind;
        plan.pages = pages;
        plan.seed = size.seed;
        plan.phase = touch_time * (2 * pages); // ten touches of each page of a working set
        return plan;
    }

    std::unique_ptr<access_pattern> pattern_;
    nanoseconds elapsed_{0};
};

/// Fills the trace with what next() returns.
template <typename Next>
std::vector<std::uint32_t> generate(const trace_size& size, Next&& next) {
    std::vector<std::uint32_t> touches(size.touches);
    for (std::uint32_t& page : touches)
        page = next();
    return touches;
}

std::vector<std::uint32_t> of_pattern(pattern_kind kind, const trace_size& size) {
    return generate(size, [source = pattern_source(kind, size, size.pages)]() mutable {
        return source.next();
    });
}

/// Round and round in `part` of the region.
auto loop_in(double part, const trace_size& size) {
    const auto end = static_cast<std::uint32_t>(part * size.pages);
    return [end, at = std::uint32_t{0}]() mutable { return at++ % end; };
}

/// `percent` of the touches from `a`, the rest from `b`.
template <typename A, typename B>
std::vector<std::uint32_t> mixture(const trace_size& size, double percent, A a, B b) {
    random_source random(overcommit::mix(size.seed + 77));
    return generate(size, [&] { return random.chance(percent) ? a() : b(); });
}

std::vector<std::uint32_t> uniform(const trace_size& s) {
    return of_pattern(pattern_kind::uniform, s);
}
std::vector<std::uint32_t> zipf(const trace_size& s) {
    return of_pattern(pattern_kind::zipf, s);
}
std::vector<std::uint32_t> sequential(const trace_size& s) {
    return of_pattern(pattern_kind::sequential, s);
}
std::vector<std::uint32_t> stride(const trace_size& s) {
    return of_pattern(pattern_kind::stride, s);
}
std::vector<std::uint32_t> scan_zipf(const trace_size& s) {
    return of_pattern(pattern_kind::scan_zipf, s);
}
std::vector<std::uint32_t> phases(const trace_size& s) {
    return of_pattern(pattern_kind::phases, s);
}
/// Larger than memory at both capacities.
std::vector<std::uint32_t> loop(const trace_size& s) {
    return generate(s, loop_in(0.6, s));
}
std::vector<std::uint32_t> loop_zipf(const trace_size& s) {
    pattern_source hot(pattern_kind::zipf, s, s.pages);
    return mixture(s, 50, loop_in(0.3, s), [&] { return hot.next(); });
}
/// A tenth of the region is hot and lies together, and a scan goes through everything.
std::vector<std::uint32_t> hot_scan(const trace_size& s) {
    pattern_source hot(pattern_kind::uniform, s, s.pages / 10);
    return mixture(
        s, 80, [&] { return hot.next(); }, loop_in(1, s));
}
/// Every eighth page is hot: in no window of 64 pages are there more than eight.
std::vector<std::uint32_t> hot_scattered(const trace_size& s) {
    pattern_source hot(pattern_kind::uniform, s, s.pages / 8);
    pattern_source cold(pattern_kind::uniform, s, s.pages);
    return mixture(
        s, 90, [&] { return hot.next() * 8; }, [&] { return cold.next(); });
}
/// Half of the touches are hot by zipf, half of them in a working set that moves.
std::vector<std::uint32_t> zipf_phases(const trace_size& s) {
    pattern_source hot(pattern_kind::zipf, s, s.pages);
    pattern_source moving(pattern_kind::phases, s, s.pages);
    return mixture(
        s, 50, [&] { return hot.next(); }, [&] { return moving.next(); });
}

struct generator {
    std::string_view name;
    std::vector<std::uint32_t> (*make)(const trace_size&);
};
constexpr std::array<generator, 11> generators{{{"uniform", uniform},
                                                {"zipf", zipf},
                                                {"sequential", sequential},
                                                {"stride", stride},
                                                {"scan+zipf", scan_zipf},
                                                {"phases", phases},
                                                {"loop", loop},
                                                {"loop+zipf", loop_zipf},
                                                {"hot+scan", hot_scan},
                                                {"hot_scattered", hot_scattered},
                                                {"zipf+phases", zipf_phases}}};
constexpr auto names = [] {
    std::array<std::string_view, generators.size()> out;
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = generators[i].name;
    return out;
}();

} // namespace

std::span<const std::string_view> trace_names() noexcept {
    return names;
}

trace make_trace(std::string_view name, const trace_size& size) {
    for (const generator& g : generators)
        if (g.name == name)
            return {std::string(name), size.pages, g.make(size)};
    std::string text = "no trace \"" + std::string(name) + "\"; allowed are";
    for (const std::string_view n : names)
        text.append(" ").append(n);
    throw std::invalid_argument(text);
}

trace read_trace(const std::string& path) {
    std::ifstream file(path);
    trace out{path, 0, {}};
    std::string line;
    for (std::size_t number = 1; std::getline(file, line); ++number) {
        std::uint32_t page = 0;
        const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), page);
        if (error != std::errc() || end != line.data() + line.size() || page == UINT32_MAX)
            throw std::runtime_error(path + ":" + std::to_string(number) + ": not a page number");
        out.pages = std::max(out.pages, page + 1);
        out.touches.push_back(page);
    }
    if (out.touches.empty())
        throw std::runtime_error(path + ": no page numbers");
    return out;
}

} // namespace policy_sim
