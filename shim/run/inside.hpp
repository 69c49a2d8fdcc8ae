// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Which threads are at work for the library. What they map and allocate is never managed: a thread
/// that serves faults must not fault itself, nor wait for a lock of the program's allocator whose
/// holder may be waiting for a fault to be served.

namespace preload {

/// True on the library's threads, and on a thread of the program while it is in the library.
extern thread_local bool inside __attribute__((tls_model("initial-exec")));

class inside_scope {
  public:
    inside_scope() noexcept : before_(inside) { inside = true; }
    ~inside_scope() { inside = before_; }
    inside_scope(const inside_scope&) = delete;
    inside_scope& operator=(const inside_scope&) = delete;

  private:
    bool before_;
};

} // namespace preload
