// SPDX-License-Identifier: BSD-3-Clause
#include "run/ask.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include <sys/socket.h>
#include <sys/un.h>

#include <nlohmann/json.hpp>

#include "kernel/file_descriptor.hpp"
#include "uffdmm/result.hpp"

namespace preload {
namespace {

using json = nlohmann::ordered_json;

constexpr std::string_view allowed_requests =
    "stats, limit, limit SIZE, list, evict, evict REGION, or a JSON object";

[[noreturn]] void refuse(std::string_view words) {
    std::string message("--ask: \"");
    message.append(words).append("\" is not allowed; allowed: ").append(allowed_requests);
    throw uffdmm::setup_error(uffdmm::errc::invalid_argument, message);
}

[[noreturn]] void fail(const std::string& path, const char* why) {
    throw uffdmm::setup_error(uffdmm::errc::system,
                              std::string("--ask ").append(path).append(": ").append(why));
}

/// The key that a command's word is the value of; nullptr: it takes none.
const char* key_of(std::string_view command) {
    if (command == "limit")
        return "bytes";
    return command == "evict" ? "region" : nullptr;
}

uffdmm::file_descriptor connect_to(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path)
        fail(path, "no socket can have such a path");
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    uffdmm::file_descriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd ||
        ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        fail(path, ::strerrordesc_np(errno));
    return fd;
}

std::string answer_to(const std::string& path, const std::string& request) {
    const uffdmm::file_descriptor fd = connect_to(path);
    if (::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request.size()))
        fail(path, ::strerrordesc_np(errno));
    std::string answer;
    std::array<char, 4096> bytes;
    while (!answer.ends_with('\n')) {
        const ssize_t got = ::recv(fd.get(), bytes.data(), bytes.size(), 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            fail(path, "no answer");
        answer.append(bytes.data(), static_cast<std::size_t>(got));
    }
    return answer;
}

} // namespace

std::string request_of(std::string_view words) {
    if (words.starts_with('{'))
        return std::string(words);
    const std::size_t space = words.find(' ');
    const std::string_view command = words.substr(0, space);
    json request{{"command", command}};
    if (command != "stats" && command != "list" && key_of(command) == nullptr)
        refuse(words);
    if (space == std::string_view::npos)
        return request.dump();
    const std::string_view value = words.substr(space + 1);
    if (key_of(command) == nullptr || value.empty())
        refuse(words);
    request[key_of(command)] = value;
    return request.dump(-1, ' ', false, json::error_handler_t::replace);
}

int ask(const std::string& path, std::string_view words) {
    const std::string text = answer_to(path, request_of(words) + "\n");
    const json answer = json::parse(text, nullptr, false);
    if (const auto result = answer.find("result"); result != answer.end()) {
        std::printf("%s\n", result->dump(2).c_str());
        return 0;
    }
    const auto error = answer.find("error");
    std::fprintf(stderr, "uffdmm-run: %s\n",
                 error != answer.end() && error->is_string()
                     ? error->get_ref<const std::string&>().c_str()
                     : text.c_str());
    return 1;
}

} // namespace preload
