// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The file behind a mapping, as far as it decides whether the memory can be managed.

#include <array>
#include <cstddef>
#include <cstdint>

#include <sys/types.h>

namespace preload {

/// Which file a descriptor is of.
struct file_identity {
    dev_t device = 0;
    ino_t number = 0;

    bool operator==(const file_identity&) const = default;
};

struct backing_file {
    enum class kind : unsigned char { memfd, tmpfs, hugetlb, disk, not_a_file };

    kind what = kind::not_a_file;
    file_identity identity;
    bool named = false;           ///< others can open it by its path
    std::array<char, 160> name{}; ///< a memfd's name, or the path
};

/// Identity of an open file; false if it is not a regular file.
[[nodiscard]] bool identify(int fd, file_identity& identity) noexcept;
[[nodiscard]] backing_file inspect(int fd) noexcept;
/// Whether the range has contents, or might have.
[[nodiscard]] bool has_data(int fd, off_t offset, std::size_t bytes) noexcept;
/// Whether this process maps the file outside of [begin, end), too.
[[nodiscard]] bool mapped_elsewhere(const file_identity& file, std::uintptr_t begin,
                                    std::uintptr_t end) noexcept;
/// Whether a part of the range was touched, or might have been.
[[nodiscard]] bool touched(std::uintptr_t begin, std::uintptr_t end) noexcept;

} // namespace preload
