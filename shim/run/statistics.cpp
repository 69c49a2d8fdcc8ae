// SPDX-License-Identifier: BSD-3-Clause
#include "run/statistics.hpp"

#include "uffdmm/stats_json.hpp"

namespace preload {

std::string statistics_of(managed_space& s) {
    std::string text = "{\"interception\": ";
    text.append(s.counts().to_json());
    text.append(",\n\"library\": ").append(uffdmm::to_json(s.statistics())).append("}\n");
    return text;
}

} // namespace preload
