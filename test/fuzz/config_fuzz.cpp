// SPDX-License-Identifier: BSD-3-Clause

/// Any text either is refused with a message or is a valid configuration that survives being
/// written and read back.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "uffdmm/check.hpp"
#include "uffdmm/config.hpp"
#include "uffdmm/result.hpp"

namespace uffdmm {
namespace {

void check_text(std::string_view text) {
    config parsed;
    try {
        parsed = parse_config(text);
    } catch (const setup_error& refused) {
        UFFDMM_CHECK(refused.code() == errc::invalid_config, "a refusal says so");
        UFFDMM_CHECK(std::string_view(refused.what()).starts_with("config: "),
                     "a refusal names its source");
        return;
    }
    const std::string written = to_json(parsed);
    UFFDMM_CHECK(to_json(parse_config(written)) == written,
                 "what is written is read back the same");
}

} // namespace
} // namespace uffdmm

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    uffdmm::check_text({reinterpret_cast<const char*>(data), size});
    return 0;
}
