// SPDX-License-Identifier: BSD-3-Clause

/// Any text is either refused by a setup_error or is a configuration that can be written down and
/// read back unchanged.

#include <cstdint>
#include <string>
#include <string_view>

#include "uffdmm/check.hpp"
#include "uffdmm/config.hpp"
#include "uffdmm/result.hpp"

namespace {

void read_and_write(std::string_view text) {
    const uffdmm::config once = uffdmm::parse_config(text, "fuzz");
    const std::string written = uffdmm::to_json(once);
    const std::string again = uffdmm::to_json(uffdmm::parse_config(written, "written"));
    UFFDMM_CHECK(written == again, "what is written is read back unchanged");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    bool accepted = false;
    try {
        (void)uffdmm::parse_config(text, "fuzz");
        accepted = true;
    } catch (const uffdmm::setup_error&) {
    }
    if (accepted)
        read_and_write(text);
    return 0;
}
