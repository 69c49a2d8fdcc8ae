// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// RAII userfaultfd, and each of its ioctls once. Addresses are those of whole pages; counts are
/// pages. Every operation goes on after a partial success until all is done or one page is
/// refused, so `status` is always the reason of page `done`, and never "some of it is done".
///
/// A closed object answers `gone` without a system call, so that a number that has been given to
/// another file meanwhile is never touched (fd_recycling).

#include <cstddef>
#include <cstdint>

#include "kernel/file_descriptor.hpp"
#include "kernel/ioctl_result.hpp"
#include "kernel/userfaultfd_abi.hpp"

namespace uffdmm {

/// ioctl(2), or what a test puts in its place.
using ioctl_function = int (*)(int fd, unsigned long request, void* argument) noexcept;
int system_ioctl(int fd, unsigned long request, void* argument) noexcept;

class userfaultfd {
  public:
    userfaultfd() = default;
    /// Opens /dev/userfaultfd, or else by system call, for faults of user and kernel mode, not
    /// blocking. Enables `required` and what exists of `optional` (UFFD_FEATURE_...). Throws
    /// setup_error: permission_denied, not_supported.
    userfaultfd(std::uint64_t required, std::uint64_t optional,
                ioctl_function function = &system_ioctl);

    /// Features that this kernel has, whether enabled or not.
    [[nodiscard]] static std::uint64_t available_features(ioctl_function function = &system_ioctl);

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    [[nodiscard]] std::uint64_t features() const noexcept { return features_; } ///< enabled ones

    /// Set-up. `modes`: UFFDIO_REGISTER_MODE_...; throws setup_error (busy, no_memory,
    /// not_supported) also if the kernel lacks one of the `needed` operations (1 << _UFFDIO_...)
    /// there.
    void register_range(std::byte* at, std::size_t bytes, std::uint64_t modes,
                        std::uint64_t needed);
    /// Wakes everybody who waits in the range.
    kernel_result unregister_range(std::byte* at, std::size_t bytes) noexcept;

    kernel_result copy(std::byte* to, const std::byte* from, page_count n, bool protect) noexcept;
    kernel_result zeropage(std::byte* to, page_count n) noexcept;
    /// UFFDIO_CONTINUE.
    kernel_result resume(std::byte* at, page_count n, bool protect) noexcept;
    /// `holes`: absent source pages are skipped, and count as done.
    kernel_result move(std::byte* to, const std::byte* from, page_count n, bool holes) noexcept;
    kernel_result poison(std::byte* at, page_count n) noexcept;
    /// All or nothing as far as it is reported. Clearing wakes.
    kernel_result write_protect(std::byte* at, page_count n, bool protect) noexcept;
    kernel_result wake(std::byte* at, page_count n) noexcept;

    /// Reads messages; returns how many, 0 if there is none. Never blocks.
    std::size_t read(uffd_msg* messages, std::size_t most) noexcept;

  private:
    template <typename Argument>
    int call(unsigned long request, Argument& argument) noexcept;
    template <typename Step>
    kernel_result repeat(transfer what, page_count n, Step&& step) noexcept;

    file_descriptor fd_;
    std::uint64_t features_ = 0;
    ioctl_function ioctl_ = &system_ioctl;
};

} // namespace uffdmm
