// SPDX-License-Identifier: BSD-3-Clause
#include "overcommit/poison_trap.hpp"

#include <atomic>
#include <csignal>
#include <cstdint>

#include <unistd.h>

namespace overcommit {
namespace {

std::atomic<std::uintptr_t> first_byte{0};
std::atomic<std::uintptr_t> size_in_bytes{0};

void tell(const char* text, std::size_t length) {
    [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, text, length);
}

/// A signal handler: write(2) and _exit(2) only.
void on_bus_error(int, siginfo_t* info, void*) {
    const std::uintptr_t at = reinterpret_cast<std::uintptr_t>(info->si_addr) - first_byte;
    if (at >= size_in_bytes) {
        std::signal(SIGBUS, SIG_DFL); // not ours: happens again and ends the program
        return;
    }
    constexpr char message[] = "overcommit: LOST page: the library poisoned it; offset in pages: ";
    tell(message, sizeof message - 1);
    char digits[24];
    std::size_t start = sizeof digits;
    digits[--start] = '\n';
    for (std::uintptr_t page = at / uffdmm::page_size; start > 0; page /= 10) {
        digits[--start] = static_cast<char>('0' + page % 10);
        if (page < 10)
            break;
    }
    tell(digits + start, sizeof digits - start);
    ::_exit(1);
}

} // namespace

poison_trap::poison_trap(const uffdmm::region& region) {
    first_byte = reinterpret_cast<std::uintptr_t>(region.data());
    size_in_bytes = region.size();
    struct sigaction action {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO;
    ::sigaction(SIGBUS, &action, nullptr);
}

poison_trap::~poison_trap() {
    std::signal(SIGBUS, SIG_DFL);
}

} // namespace overcommit
