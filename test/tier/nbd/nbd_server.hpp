// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// An NBD server for tests, on a Unix socket in a temporary directory, to be killed, stopped and
/// started again.

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/catch.hpp"
#include "tier/file/file_rig.hpp"
#include "tier/nbd/nbd_software.hpp"
#include "uffdmm/config.hpp"

namespace uffdmm::test {

class nbd_server {
  public:
    /// nbdkit's arguments, such as {"memory", "64M"} or {"--filter=delay", "memory", "64M", ...}.
    explicit nbd_server(std::vector<std::string> arguments) : more_(std::move(arguments)) {
        start();
    }
    /// Any server, with a new file of `size` as the export, which stays when it is killed.
    /// `keys`: see nbd_service.
    nbd_server(const nbd_software& software, std::uintmax_t size, const std::string& keys = "")
        : software_(&software), disk_(directory_.file("disk")), keys_(keys) {
        (void)file(disk_, size);
        start();
    }
    /// A file of `size` as the export; it stays when the server is killed.
    [[nodiscard]] static std::vector<std::string> file(const std::string& path,
                                                       std::uintmax_t size) {
        std::ofstream(path).close();
        std::filesystem::resize_file(path, size);
        return {"file", path};
    }
    nbd_server(const nbd_server&) = delete;
    nbd_server& operator=(const nbd_server&) = delete;
    ~nbd_server() { kill(); }

    /// Ready for connections when it returns.
    void start() {
        REQUIRE(pid_ < 0);
        std::filesystem::remove(pid_file());
        std::filesystem::remove(socket());
        std::vector<std::string> all = software_->command({socket(), pid_file(), disk_, keys_});
        all.insert(all.end(), more_.begin(), more_.end());
        std::vector<char*> argv;
        for (std::string& argument : all)
            argv.push_back(argument.data());
        argv.push_back(nullptr);
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawn_file_actions_addopen(&actions, 2, log().c_str(),
                                           O_WRONLY | O_CREAT | O_APPEND, 0600);
        const int failed = ::posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ);
        ::posix_spawn_file_actions_destroy(&actions);
        REQUIRE(failed == 0);
        // The pid file is written when the socket takes connections.
        for (int i = 0; i < 3000 && !std::filesystem::exists(pid_file()); ++i) {
            INFO(std::string(software_->program) + ": " + said());
            REQUIRE(::waitpid(pid_, nullptr, WNOHANG) == 0);
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        REQUIRE(std::filesystem::exists(pid_file()));
    }
    /// As in a crash.
    void kill() {
        if (pid_ < 0)
            return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        pid_ = -1;
    }
    /// It keeps its connections and answers nothing.
    void freeze() {
        ::kill(pid_, SIGSTOP);
        REQUIRE(::waitpid(pid_, nullptr, WUNTRACED) == pid_); // when all its threads have stopped
    }
    void thaw() {
        if (pid_ >= 0)
            ::kill(pid_, SIGCONT);
    }
    /// From the next start() on; nbdkit's.
    void serve_other(std::vector<std::string> arguments) { more_ = std::move(arguments); }

    [[nodiscard]] const temporary_directory& directory() const { return directory_; }
    [[nodiscard]] std::string socket() const { return directory_.file("socket"); }
    [[nodiscard]] std::string uri() const {
        return (keys_.empty() ? "nbd+unix:///?socket=" : "nbds+unix://alice@/?socket=") + socket();
    }
    /// What it has written to stderr.
    [[nodiscard]] std::string said() const { return contents(log()); }
    [[nodiscard]] static std::string contents(const std::string& path) {
        std::ifstream in(path);
        return {std::istreambuf_iterator<char>(in), {}};
    }

    [[nodiscard]] nbd_tier_config config() const {
        nbd_tier_config c;
        c.uri = uri();
        if (!keys_.empty())
            c.tls_psk_file = keys_ + "/keys.psk";
        return c;
    }

  private:
    [[nodiscard]] std::string pid_file() const { return directory_.file("pid"); }
    [[nodiscard]] std::string log() const { return directory_.file("stderr"); }

    temporary_directory directory_;
    const nbd_software* software_ = &nbdkit;
    std::string disk_;
    std::string keys_;
    std::vector<std::string> more_;
    pid_t pid_ = -1;
};

/// A pre-shared key of alice, of one hexadecimal digit, repeated. Returns `path`.
inline std::string write_key(const std::string& path, char digit) {
    std::ofstream(path) << "alice:" << std::string(64, digit) << "\n";
    return path;
}

/// Lines of a text that have `part` in them.
[[nodiscard]] inline std::size_t lines_with(const std::string& text, const std::string& part) {
    std::size_t n = 0;
    for (std::size_t at = text.find(part); at != std::string::npos;
         at = text.find(part, text.find('\n', at)))
        ++n;
    return n;
}

} // namespace uffdmm::test
