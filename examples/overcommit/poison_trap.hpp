// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// What a VMM turns into a machine check of its guest: touching a page whose contents are lost
/// raises SIGBUS. Here it ends the program with a message and exit status 1.

#include "uffdmm/manager.hpp"

namespace overcommit {

/// One at a time. Restores the default action when it goes.
class poison_trap {
  public:
    explicit poison_trap(const uffdmm::region& region);
    ~poison_trap();
    poison_trap(const poison_trap&) = delete;
    poison_trap& operator=(const poison_trap&) = delete;
};

} // namespace overcommit
