// SPDX-License-Identifier: BSD-3-Clause

/// The library's fault against the bare round trip of the same ioctl, in turns: which part of a
/// fault's latency is the library's own.
///
///     round: bare (each ioctl that may come up) ─► library ─► one pair for each ioctl it used

#include <array>
#include <cstdio>
#include <memory>
#include <vector>

#include "kernel/userfaultfd_abi.hpp"
#include "support/bare_faults.hpp"
#include "support/compare_options.hpp"
#include "support/comparison.hpp"
#include "support/ioctl_count.hpp"
#include "support/library_faults.hpp"

namespace uffdmm::bench {
namespace {

/// What the issue of the engine asks for, of zero and staged pages.
constexpr target wanted{1.25, 2000};

bool has_target(fault_kind kind) {
    return kind == fault_kind::zero_read || kind == fault_kind::zero_write ||
           kind == fault_kind::staged;
}

unsigned number_of(operation what) {
    switch (what) {
    case operation::zeropage:
        return _UFFDIO_ZEROPAGE;
    case operation::copy:
        return _UFFDIO_COPY;
    case operation::move:
        return _UFFDIO_MOVE;
    case operation::unprotect:
        return _UFFDIO_WRITEPROTECT;
    }
    return 0;
}

/// Samples by the ioctl that ended the fault.
using by_operation = std::array<samples, operations.size()>;

by_operation run_round(fault_source& source, const std::vector<operation>& possible) {
    by_operation out;
    source.prepare();
    for (unsigned i = 0; i < fault_source::batch; ++i) {
        std::array<std::uint64_t, operations.size()> before{};
        for (const operation what : possible)
            before[static_cast<unsigned>(what)] = ioctls_of(number_of(what));
        const auto ns = static_cast<double>(source.touch(i));
        for (const operation what : possible)
            if (ioctls_of(number_of(what)) != before[static_cast<unsigned>(what)])
                out[static_cast<unsigned>(what)].push_back(ns);
    }
    source.pause();
    return out;
}

struct contest {
    fault_kind kind;
    placement where;
    std::vector<operation> possible;
    std::vector<comparison> rows;

    contest(fault_kind k, placement p) : kind(k), where(p), possible(operations_of(k)) {
        for (const operation what : possible)
            rows.emplace_back(name(k, p) + "/" + bench::to_string(what),
                              has_target(k) ? wanted : target{});
    }
    static std::string name(fault_kind kind, placement where) {
        return std::string(bench::to_string(kind)) + "/" + bench::to_string(where);
    }

    void run(const compare_options& options) {
        const pinned here(cpus_for(where)->faulting);
        std::vector<std::unique_ptr<bare_faults>> floors;
        for (const operation what : possible)
            floors.push_back(std::make_unique<bare_faults>(what, is_write(kind), where));
        library_faults library(kind, where, options.directory);
        std::vector<std::size_t> answered(possible.size());
        for (unsigned round = 0; round <= options.rounds; ++round) {
            std::vector<samples> base;
            for (std::size_t i = 0; i < possible.size(); ++i)
                base.push_back(run_round(*floors[i], {possible[i]})[index(possible[i])]);
            const by_operation other = run_round(library, possible);
            for (std::size_t i = 0; i < possible.size() && round != 0; ++i) { // 0: warming up
                rows[i].add(base[i], other[index(possible[i])]);
                answered[i] += other[index(possible[i])].size();
            }
        }
        const double all = fault_source::batch * options.rounds;
        for (std::size_t i = 0; i < possible.size(); ++i)
            rows[i].set_share(static_cast<double>(answered[i]) / all);
    }
    static std::size_t index(operation what) { return static_cast<std::size_t>(what); }
};

int run(int argc, char** argv) {
    const compare_options options = parse_options(argc, argv);
    std::vector<comparison> all;
    for (const placement where : placements) {
        if (!cpus_for(where)) {
            std::printf("%s: left out, it needs two CPUs\n", to_string(where));
            continue;
        }
        for (const fault_kind kind : fault_kinds) {
            if (!options.selects(contest::name(kind, where)))
                continue;
            contest c(kind, where);
            c.run(options);
            all.insert(all.end(), c.rows.begin(), c.rows.end());
        }
    }
    print(all, "bare us", "library us");
    return options.json.empty() || write_json(all, options.json) ? 0 : 1;
}

} // namespace
} // namespace uffdmm::bench

int main(int argc, char** argv) {
    return uffdmm::bench::run(argc, argv);
}
