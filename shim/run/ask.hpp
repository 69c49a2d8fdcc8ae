// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The other end of --control: uffdmm-run --ask SOCK REQUEST.

#include <string>
#include <string_view>

namespace preload {

/// "limit 512M" as a request of the protocol; one that begins with { is passed on as it is. Throws
/// uffdmm::setup_error naming what is allowed.
[[nodiscard]] std::string request_of(std::string_view words);

/// Sends the request, prints the answer's result on standard output and returns 0, or its error on
/// standard error and returns 1. Throws uffdmm::setup_error where nobody answers.
[[nodiscard]] int ask(const std::string& path, std::string_view words);

} // namespace preload
