// SPDX-License-Identifier: BSD-3-Clause
#include "control/listening_socket.hpp"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <system_error>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "uffdmm/result.hpp"

namespace uffdmm {
namespace {

constexpr int waiting_clients = 16;

[[noreturn]] void refuse_socket(const std::string& path, const std::string& why, int os_errno = 0) {
    throw setup_error(os_errno == EACCES ? errc::permission_denied : errc::invalid_argument,
                      "control socket " + path + ": " + why, os_errno);
}

[[noreturn]] void fail(const std::string& path, const char* call) {
    const int error = errno;
    refuse_socket(path, std::string(call).append(": ").append(::strerrordesc_np(error)), error);
}

/// The longest suffix that beside() adds.
constexpr std::size_t suffix = 8;

void check_length(const std::string& path) {
    constexpr std::size_t most = sizeof(sockaddr_un::sun_path) - 1 - suffix;
    if (path.empty() || path.size() > most)
        refuse_socket(path, "a path of " + std::to_string(path.size()) +
                                " bytes is not allowed; allowed: 1 to " + std::to_string(most));
}

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return address;
}

file_descriptor stream_socket(const std::string& path) {
    file_descriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd)
        fail(path, "socket");
    return fd;
}

bool is_served(const std::string& path) {
    const file_descriptor fd = stream_socket(path);
    const sockaddr_un address = address_of(path);
    return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
           errno == EAGAIN; // its queue of clients is full
}

path_identity identity_of(const struct stat& status) {
    return {status.st_dev, status.st_ino};
}

void make_sure_replaceable(const std::string& path, const path_identity& replaceable) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) {
        if (errno != ENOENT)
            fail(path, "lstat");
        return;
    }
    if (identity_of(status) == replaceable)
        return;
    if (!S_ISSOCK(status.st_mode))
        refuse_socket(path, "there is something that is not a socket");
    if (is_served(path))
        refuse_socket(path, "another process serves it");
}

/// Short: a path may have little more than 100 bytes.
std::string beside(const std::string& path) {
    return path + "." + std::to_string(::getpid() % 1000000);
}

} // namespace

std::string to_text(const path_identity& identity) {
    return std::to_string(identity.device) + " " + std::to_string(identity.number);
}

path_identity identity_from(std::string_view text) {
    path_identity identity;
    const char* const end = text.data() + text.size();
    const auto device = std::from_chars(text.data(), end, identity.device);
    if (device.ec != std::errc() || device.ptr == end)
        return {};
    const auto number = std::from_chars(device.ptr + 1, end, identity.number);
    return number.ec == std::errc() && number.ptr == end ? identity : path_identity{};
}

listening_socket listen_at(const std::string& path, const path_identity& replaceable) {
    check_length(path);
    make_sure_replaceable(path, replaceable);
    const std::string first = beside(path);
    const sockaddr_un address = address_of(first);
    listening_socket made{stream_socket(path), {}};
    (void)::unlink(first.c_str());
    if (::bind(made.fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        fail(path, "bind");
    struct stat status {};
    if (::chmod(first.c_str(), S_IRUSR | S_IWUSR) != 0 ||
        ::listen(made.fd.get(), waiting_clients) != 0 || ::lstat(first.c_str(), &status) != 0 ||
        ::rename(first.c_str(), path.c_str()) != 0) {
        const int error = errno;
        (void)::unlink(first.c_str());
        errno = error;
        fail(path, "cannot be made");
    }
    made.made = identity_of(status);
    return made;
}

void remove_path(const std::string& path, const path_identity& mine) noexcept {
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0 && identity_of(status) == mine)
        (void)::unlink(path.c_str());
}

} // namespace uffdmm
