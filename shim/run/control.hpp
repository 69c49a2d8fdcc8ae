// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The managed space under control from outside (--control).

#include <string>

#include "run/managed_space.hpp"

namespace preload::control {

/// Serves it from now on, in this process. Throws uffdmm::setup_error.
void serve(managed_space& s);
/// In a process that has memory to manage, and does not serve: it takes the socket over from the
/// one that does, whose child it is. A failure is told.
void go_on_serving(managed_space& s) noexcept;
/// In every child of fork.
void forget_in_child() noexcept;
/// What a program that this one starts takes the socket over with; "" where nothing is served.
[[nodiscard]] std::string identity();
/// At the end of the program.
void remove_socket() noexcept;

} // namespace preload::control
