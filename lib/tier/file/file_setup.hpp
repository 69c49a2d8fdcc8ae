// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What all files of tiers have in common when they are opened: messages that name the key, and
/// sizes that are checked before anything is written.

#include <string>

#include "uffdmm/config.hpp"
#include "uffdmm/result.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

inline constexpr const char* path_kinds =
    "; allowed are a directory (an unlinked file is made in it), a "
    "file name in an existing directory, and a block device";

/// Throws setup_error "tiers[].KEY ("PATH"): WHY".
[[noreturn]] void refuse(errc code, const char* key, const std::string& path,
                         const std::string& why, int os_errno = 0);
/// What open(2) of the path said, in the operator's terms.
[[noreturn]] void refuse_open(const std::string& path, int os_errno);

[[nodiscard]] std::string reason(int os_errno);
/// "4096 bytes (0.0 MiB)"
[[nodiscard]] std::string bytes_text(byte_count bytes);

/// Throws unless a file may be `total` bytes long: growing past RLIMIT_FSIZE would raise SIGXFSZ.
void check_file_size_limit(const file_tier_config& config, byte_count total);
/// Makes the file `total` bytes long and reserves its blocks. Throws; the file is empty then.
void reserve_blocks(int fd, const file_tier_config& config, byte_count total);

} // namespace uffdmm
