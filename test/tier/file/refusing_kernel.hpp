// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A thread for which the kernel refuses a system call, as an older kernel or another file system
/// would: seccomp answers in its place. The rest of the process is not affected.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/catch.hpp"

namespace uffdmm::test {

/// A system call, when `argument` has any of `bits` set (any call if 0), answered with an errno.
struct refused_call {
    std::uint32_t number = 0;
    unsigned argument = 0;
    std::uint32_t bits = 0;
    std::uint32_t os_errno = 0;
};

/// x86-64 and other little-endian machines.
[[nodiscard]] inline bool refuse_in_this_thread(const refused_call& call) {
    const auto low_word = static_cast<std::uint32_t>(offsetof(seccomp_data, args) +
                                                     call.argument * sizeof(std::uint64_t));
    const auto any = static_cast<std::uint8_t>(call.bits == 0 ? 1 : 0);
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call.number, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, low_word),
        BPF_JUMP(BPF_JMP | BPF_JA, any, 0, 0), // skips the next check
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, call.bits, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | call.os_errno),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    sock_fprog program{static_cast<unsigned short>(std::size(filter)), filter};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

/// Runs `work` in such a thread; returns false, with a warning, where seccomp may not be used.
inline bool with_refused_call(const refused_call& call, const std::function<void()>& work) {
    bool refused = false;
    std::thread([&] {
        refused = refuse_in_this_thread(call);
        if (refused)
            work();
    }).join();
    if (!refused)
        WARN("skipped: seccomp filters are not allowed here");
    return refused;
}

} // namespace uffdmm::test
