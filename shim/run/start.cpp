// SPDX-License-Identifier: BSD-3-Clause

/// Before the program starts, and after it ends.

#include <array>
#include <cerrno>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <thread>

#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run/control.hpp"
#include "run/heirs.hpp"
#include "run/inside.hpp"
#include "run/managed_space.hpp"
#include "run/next_functions.hpp"
#include "run/next_io.hpp"
#include "run/qemu/migration.hpp"
#include "run/statistics.hpp"
#include "run/tell.hpp"
#include "uffdmm/result.hpp"

namespace {

using namespace preload;

constexpr int cannot_start = 125;

/// Written beside it first: a reader sees all or nothing.
void write_file(const std::string& path, const std::string& text) {
    const std::string beside = path + ".new";
    std::FILE* const file = std::fopen(beside.c_str(), "we");
    if (file == nullptr) {
        tell("--stats: %s: %s", path.c_str(), ::strerrordesc_np(errno));
        return;
    }
    const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
    if (std::fclose(file) != 0 || !written || std::rename(beside.c_str(), path.c_str()) != 0)
        tell("--stats: %s: %s", path.c_str(), ::strerrordesc_np(errno));
}

void write_statistics(managed_space& s) {
    const inside_scope library;
    write_file(s.asked().stats_file, statistics_of(s));
}

/// Where SIGUSR2 leaves word; -1: nowhere.
volatile int asked_fd = -1;

void on_signal(int) {
    const int error = errno;
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t ignored = ::write(asked_fd, &one, sizeof one);
    errno = error;
}

void answer_signals(managed_space& s) {
    std::uint64_t times = 0;
    while (::read(asked_fd, &times, sizeof times) == sizeof times)
        write_statistics(s);
}

/// SIGUSR2 writes the statistics, unless the program has other plans for it.
void listen_for_signals(managed_space& s) {
    struct sigaction before {};
    if (::sigaction(SIGUSR2, nullptr, &before) != 0 ||
        (before.sa_handler != SIG_DFL && before.sa_handler != on_signal)) // its parent's
        return;
    asked_fd = ::eventfd(0, EFD_CLOEXEC);
    if (asked_fd < 0)
        return;
    sigset_t all;
    sigset_t old;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &old);
    std::thread(answer_signals, std::ref(s)).detach();
    ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    (void)::sigaction(SIGUSR2, &action, nullptr);
}

void before_fork() {
    if (managed_space* const s = space(); s != nullptr && !s->forgotten())
        s->before_fork();
}

void after_fork() {
    if (managed_space* const s = space(); s != nullptr && !s->forgotten())
        s->after_fork();
}

/// What is forgotten stays locked: nobody uses it.
void in_child() {
    inside = false;
    control::forget_in_child();
    after_fork();
}

pid_t first_process = 0;

/// Of the statistics file as this process found it: who else writes it leaves another.
ino_t found_file = 0;

ino_t number_of(const std::string& path) noexcept {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 ? status.st_ino : 0;
}

/// With the first memory that is managed.
void on_start(managed_space& s) noexcept {
    const inside_scope library;
    heirs::none_any_more();
    control::go_on_serving(s);
    const bool first = ::getpid() == first_process && !s.asked().inherited;
    if (!first || s.asked().verbose)
        tell("manages the memory of process %d, %s", ::getpid(), ::program_invocation_short_name);
    if (s.asked().migrate_locations && !qemu::expected())
        tell("--migrate-locations: the program is no QEMU that exports what it takes");
    if (!first && !s.asked().stats_file.empty())
        listen_for_signals(s);
}

/// A program that an unmanaged one started does no more than it must until it has memory to manage:
/// it need not be the one that is meant.
void manage(const settings& asked) {
    first_process = ::getpid();
    // For good: threads of the program use it until the process is gone.
    auto* const s = new managed_space(asked);
    (void)::pthread_atfork(before_fork, after_fork, in_child);
    s->on_start(on_start);
    if (asked.migrate_locations && !asked.list)
        qemu::migrate_by_locations();
    if (!asked.inherited) {
        if (!asked.list)
            s->try_out();
        found_file = number_of(asked.stats_file);
        if (!asked.stats_file.empty())
            listen_for_signals(*s);
        if (!asked.control_socket.empty())
            control::serve(*s);
    }
    set_space(s);
}

/// Whether this process's statistics are the ones to keep: its memory is managed, or nobody's is.
bool writes_statistics(const managed_space& s) {
    const std::string& file = s.asked().stats_file;
    return !file.empty() && (s.started() || (::getpid() == first_process && !s.asked().inherited &&
                                             number_of(file) == found_file));
}

/// What somebody has to know who gives the permission.
std::string explained(const uffdmm::setup_error& e) {
    std::string text = e.what();
    struct stat device {};
    if (e.code() != uffdmm::errc::permission_denied || ::stat("/dev/userfaultfd", &device) != 0)
        return text;
    std::array<char, 320> more;
    (void)std::snprintf(more.data(), more.size(),
                        " (/dev/userfaultfd is user %u's and group %u's, mode %04o, and this is "
                        "user %u, group %u: a group for it and chmod 0660 will do; so will setpriv "
                        "--ambient-caps +sys_ptrace --inh-caps +sys_ptrace)",
                        device.st_uid, device.st_gid, device.st_mode & 07777U, ::geteuid(),
                        ::getegid());
    return text + more.data();
}

void cannot_manage(const settings& asked, const std::string& why) {
    tell("%s%s", why.c_str(), asked.optional ? "; the program runs unmanaged" : "");
    if (!asked.optional)
        ::_exit(cannot_start);
}

void start() {
    settings asked;
    try {
        asked = from_environment();
        const std::string library = library_in_environment();
        clear_environment();
        manage(asked);
        heirs::prepare(asked, library, control::identity());
    } catch (const uffdmm::setup_error& e) {
        cannot_manage(asked, explained(e));
    } catch (const std::exception& e) {
        cannot_manage(asked, e.what());
    }
}

__attribute__((constructor)) void before_program() {
    const inside_scope library;
    (void)next();
    (void)next_io();
    if (in_environment())
        start();
}

/// What was told of once may have happened a thousand times.
void tell_absorbed(managed_space& s) noexcept {
    const std::uint64_t advice = s.counts().of(count::absorbed_advice);
    const std::uint64_t locks = s.counts().of(count::absorbed_locks);
    const std::uint64_t allocations = s.counts().of(count::absorbed_preallocation);
    if (advice <= 1 && locks <= 1 && allocations <= 1)
        return;
    std::array<char, 400> kinds;
    s.absorbed().print(kinds.data(), kinds.size());
    tell("ignored on managed memory: %s%s%" PRIu64 " locks, %" PRIu64 " preallocations",
         kinds.data(), kinds[0] != '\0' ? ", " : "", locks, allocations);
}

__attribute__((destructor)) void after_program() {
    control::remove_socket();
    managed_space* const s = space();
    if (s != nullptr && s->started() && !s->forgotten())
        tell_absorbed(*s);
    if (s != nullptr && !s->forgotten() && writes_statistics(*s))
        write_statistics(*s);
}

} // namespace
