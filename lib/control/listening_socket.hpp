// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A unix stream socket that others find by a path.

#include <string>
#include <string_view>

#include <sys/types.h>

#include "kernel/file_descriptor.hpp"

namespace uffdmm {

/// What is at a path, so that a process removes and replaces nothing but its own.
struct path_identity {
    dev_t device = 0;
    ino_t number = 0;

    bool operator==(const path_identity&) const = default;
};

/// "DEVICE NUMBER", and back; what is no such text is nothing's identity.
[[nodiscard]] std::string to_text(const path_identity& identity);
[[nodiscard]] path_identity identity_from(std::string_view text);

struct listening_socket {
    file_descriptor fd;
    path_identity made;
};

/// Throws setup_error. At the path may be: nothing, a socket that nobody serves, or `replaceable`.
/// Whoever looks finds the old socket or the new one, which is for the user alone.
[[nodiscard]] listening_socket listen_at(const std::string& path,
                                         const path_identity& replaceable = {});

/// Removes what is at the path if it is `mine`.
void remove_path(const std::string& path, const path_identity& mine) noexcept;

} // namespace uffdmm
