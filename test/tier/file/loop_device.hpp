// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A block device over a file, for tests that run as root.

#include <string>

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kernel/file_descriptor.hpp"

namespace uffdmm::test {

class loop_device {
  public:
    /// Over `file`; not valid() where loop devices cannot be had.
    explicit loop_device(const std::string& file, bool read_only = false) {
        const file_descriptor backing(
            ::open(file.c_str(), (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC));
        const file_descriptor control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
        // Another process may take the free one first.
        for (int attempt = 0; attempt < 10 && control && !valid(); ++attempt) {
            const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
            path_ = "/dev/loop" + std::to_string(number);
            device_ =
                file_descriptor(::open(path_.c_str(), (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC));
            attached_ = device_ && ::ioctl(device_.get(), LOOP_SET_FD, backing.get()) == 0;
        }
    }
    loop_device(const loop_device&) = delete;
    loop_device& operator=(const loop_device&) = delete;
    ~loop_device() { detach(); }

    [[nodiscard]] bool valid() const { return attached_; }
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] int fd() const { return device_.get(); }
    void detach() {
        if (attached_)
            ::ioctl(device_.get(), LOOP_CLR_FD, 0);
        attached_ = false;
        device_ = file_descriptor();
    }

  private:
    std::string path_;
    file_descriptor device_;
    bool attached_ = false;
};

} // namespace uffdmm::test
