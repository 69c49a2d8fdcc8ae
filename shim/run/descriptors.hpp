// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The program's descriptors of a file whose memory is managed. The contents are not in the file
/// any more, so that nothing may be read from it, written to it or mapped, by whatever way a
/// descriptor reaches somebody: dup, fork, exec, a socket. The kernel sees to that: they are made
/// to name the file only (O_PATH), and every such use fails with EBADF.

#include "run/backing_file.hpp"

namespace preload {

/// A descriptor that only names the file of `fd`, or -1 with errno.
[[nodiscard]] int name_of_file(int fd) noexcept;

/// Puts `name` in the place of every descriptor of its file but `ours`. False if the descriptors
/// could not be listed.
[[nodiscard]] bool leave_names_only(int name, const file_identity& file, int ours) noexcept;

/// Whether the descriptor only names its file.
[[nodiscard]] bool names_only(int fd) noexcept;

} // namespace preload
