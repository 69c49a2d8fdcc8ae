// SPDX-License-Identifier: BSD-3-Clause
#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/fake_target.hpp"
#include "kernel/file_descriptor.hpp"
#include "support/catch.hpp"
#include "support/sanitizers.hpp"
#include "uffdmm/control.hpp"

namespace {

using namespace uffdmm;
using testing::fake_target;

class folder {
  public:
    folder() { REQUIRE(::mkdtemp(path_.data()) != nullptr); }
    ~folder() { std::filesystem::remove_all(path_); }
    folder(const folder&) = delete;
    folder& operator=(const folder&) = delete;
    [[nodiscard]] std::string socket() const { return path_ + "/socket"; }
    [[nodiscard]] std::ptrdiff_t files() const {
        return std::distance(std::filesystem::directory_iterator(path_),
                             std::filesystem::directory_iterator());
    }

  private:
    std::string path_ = std::filesystem::temp_directory_path() / "uffdmm-control-XXXXXX";
};

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return address;
}

class client {
  public:
    explicit client(const std::string& path) {
        const sockaddr_un address = address_of(path);
        connected =
            ::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    }
    void send(std::string_view text) const {
        REQUIRE(::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL) ==
                static_cast<ssize_t>(text.size()));
    }
    /// A line without its end; nothing when the server has hung up.
    std::optional<std::string> line() {
        std::size_t end = 0;
        while ((end = received_.find('\n')) == std::string::npos) {
            std::array<char, 512> bytes;
            const ssize_t got = ::read(fd_.get(), bytes.data(), bytes.size());
            if (got <= 0)
                return std::nullopt;
            received_.append(bytes.data(), static_cast<std::size_t>(got));
        }
        std::string first = received_.substr(0, end);
        received_.erase(0, end + 1);
        return first;
    }
    std::string ask(std::string_view request) {
        send(std::string(request) + "\n");
        return line().value_or("");
    }
    bool connected = false;

  private:
    file_descriptor fd_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    std::string received_;
};

constexpr auto limit_request = R"({"command": "limit"})";
constexpr auto limit_answer = R"({"result":{"limit_bytes":268435456}})";

std::string refusal_at(const std::string& path) {
    fake_target target;
    try {
        const control_server server(target, path);
    } catch (const setup_error& e) {
        return e.what();
    }
    return "";
}

/// What a process leaves that dies while it serves.
void leave_stale_socket(const std::string& path) {
    const file_descriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un address = address_of(path);
    REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(fd.get(), 1) == 0);
}

} // namespace

TEST_CASE("control_server: several clients are answered, request by request") {
    const folder place;
    fake_target target;
    const control_server server(target, place.socket());
    client one(place.socket());
    client two(place.socket());
    CHECK(one.ask(limit_request) == limit_answer);
    CHECK(two.ask(limit_request) == limit_answer);
    CHECK(one.ask("nonsense").starts_with(R"({"error":)"));
    CHECK(one.ask(limit_request) == limit_answer);
    two.send(std::string(limit_request) + "\n" + limit_request + "\n");
    CHECK(two.line() == limit_answer);
    CHECK(two.line() == limit_answer);
}

TEST_CASE("control_server: a client that hangs up in the middle disturbs nobody") {
    const folder place;
    fake_target target;
    const control_server server(target, place.socket());
    client(place.socket()).send("{\"comm");
    client(place.socket()).send(std::string(limit_request) + "\n");
    CHECK(client(place.socket()).ask(limit_request) == limit_answer);
}

TEST_CASE("control_server: too long a request is refused and the client hung up on") {
    const folder place;
    fake_target target;
    const control_server server(target, place.socket());
    client talker(place.socket());
    talker.send(std::string(control_server::longest_request + 1, ' '));
    const auto answer = talker.line();
    REQUIRE(answer);
    CHECK(answer->find("4096 bytes") != std::string::npos);
    CHECK_FALSE(talker.line());
    client other(place.socket());
    const std::string padding(control_server::longest_request - std::strlen(limit_request), ' ');
    CHECK(other.ask(padding + limit_request) == limit_answer);
}

TEST_CASE("control_server: the socket is for the user alone, and gone at the end") {
    const folder place;
    fake_target target;
    {
        const control_server server(target, place.socket());
        struct stat status {};
        REQUIRE(::lstat(place.socket().c_str(), &status) == 0);
        CHECK(S_ISSOCK(status.st_mode));
        CHECK((status.st_mode & 0777) == 0600);
        CHECK(place.files() == 1);
    }
    CHECK(place.files() == 0);
}

TEST_CASE("control_server: a socket that a dead process left is replaced") {
    const folder place;
    leave_stale_socket(place.socket());
    REQUIRE_FALSE(client(place.socket()).connected);
    fake_target target;
    const control_server server(target, place.socket());
    CHECK(client(place.socket()).ask(limit_request) == limit_answer);
}

TEST_CASE("control_server: a socket that is served, or something else, is not replaced") {
    const folder place;
    fake_target target;
    const control_server server(target, place.socket());
    CHECK(refusal_at(place.socket()).find("another process serves it") != std::string::npos);
    CHECK(client(place.socket()).ask(limit_request) == limit_answer);
    const std::string file = place.socket() + "-file";
    REQUIRE(::mknod(file.c_str(), S_IFREG | 0600, 0) == 0);
    CHECK(refusal_at(file).find("not a socket") != std::string::npos);
    CHECK(std::filesystem::exists(file));
}

TEST_CASE("control_server: nobody takes over by an identity that is not the server's") {
    const folder place;
    fake_target target;
    const control_server server(target, place.socket());
    for (const std::string& other : {std::string("0 0"), std::string("nonsense"), std::string(),
                                     server.identity() + "0", server.identity() + " "})
        CHECK_THROWS_AS(control_server(target, place.socket(), other), setup_error);
}

TEST_CASE("control_server: a path that cannot be is refused by name") {
    CHECK(refusal_at("/nonexistent/folder/socket").find("/nonexistent/folder/socket: ") !=
          std::string::npos);
    CHECK(refusal_at("/tmp/" + std::string(120, 'x')).find("allowed: 1 to ") != std::string::npos);
    CHECK(refusal_at("").find("allowed: 1 to ") != std::string::npos);
}

TEST_CASE("control_server: the socket of another is not removed at the end") {
    const folder place;
    fake_target target;
    {
        const control_server server(target, place.socket());
        REQUIRE(::unlink(place.socket().c_str()) == 0);
        leave_stale_socket(place.socket());
    }
    CHECK(place.files() == 1);
}

TEST_CASE("control_server: a child goes on in the parent's place") {
#if UFFDMM_UNDER_TSAN
    WARN("skipped: ThreadSanitizer lets no child of fork start a thread");
    return;
#endif
    const folder place;
    fake_target target;
    control_server server(target, place.socket());
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        server.forget_in_child();
        target.now = 1;
        const control_server own(target, place.socket(), server.identity());
        ::pause();
        ::_exit(0);
    }
    std::string answer;
    while ((answer = client(place.socket()).ask(limit_request)) == limit_answer) {
    }
    CHECK(answer == R"({"result":{"limit_bytes":1}})");
    server.remove_socket(); // not its own any more
    CHECK(place.files() == 1);
    ::kill(child, SIGKILL);
    REQUIRE(::waitpid(child, nullptr, 0) == child);
}
