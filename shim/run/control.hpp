// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The managed space under control from outside (--control).

#include "run/managed_space.hpp"

namespace preload::control {

/// Serves it from now on, in this process. Throws uffdmm::setup_error.
void serve(managed_space& s);
/// In a child of fork that has memory to manage: it takes the socket over from its parent, as the
/// process that a daemon becomes. A failure is told.
void go_on_serving(managed_space& s) noexcept;
/// In every child of fork.
void forget_in_child() noexcept;
/// At the end of the program.
void remove_socket() noexcept;

} // namespace preload::control
