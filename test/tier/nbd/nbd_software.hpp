// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The NBD servers that the tests know, and how each is told to serve a file.

#include <cstdlib>
#include <string>
#include <vector>

#include <unistd.h>

#include "support/kernel_fixture.hpp"

namespace uffdmm::test {

/// Whether the machine has a program of that name.
[[nodiscard]] inline bool is_on_path(const std::string& program) {
    const char* const all = std::getenv("PATH");
    const std::string path = all != nullptr ? all : "";
    for (std::size_t at = 0; at <= path.size();) {
        const std::size_t end = std::min(path.find(':', at), path.size());
        if (::access((path.substr(at, end - at) + "/" + program).c_str(), X_OK) == 0)
            return true;
        at = end + 1;
    }
    return false;
}

/// What a server is to do.
struct nbd_service {
    std::string socket;   ///< Unix socket to listen on
    std::string pid_file; ///< written once it listens
    std::string disk;     ///< the file to serve
    std::string keys;     ///< "": without TLS; else a directory with keys.psk, and TLS is required
};

/// One of them.
struct nbd_software {
    const char* program;
    std::vector<std::string> (*command)(const nbd_service&);
};

[[nodiscard]] inline std::vector<std::string> psk_object(const nbd_service& s) {
    if (s.keys.empty())
        return {};
    return {"--object", "tls-creds-psk,id=tls,endpoint=server,dir=" + s.keys};
}

[[nodiscard]] inline std::vector<std::string> nbdkit_command(const nbd_service& s) {
    std::vector<std::string> all{"nbdkit",  "--foreground", "--exit-with-parent",
                                 "--unix",  s.socket,       "--pidfile",
                                 s.pid_file};
    if (!s.keys.empty())
        all.insert(all.end(), {"--tls=require", "--tls-psk=" + s.keys + "/keys.psk"});
    if (!s.disk.empty())
        all.insert(all.end(), {"file", s.disk});
    return all;
}

/// QEMU's servers end with this thread, however that ends, as nbdkit does.
[[nodiscard]] inline std::vector<std::string> qemu_nbd_command(const nbd_service& s) {
    std::vector<std::string> all{"setpriv", "--pdeathsig", "KILL", "qemu-nbd"};
    const std::vector<std::string> tls = psk_object(s);
    all.insert(all.end(), tls.begin(), tls.end());
    if (!tls.empty())
        all.push_back("--tls-creds=tls");
    all.insert(all.end(), {"--socket=" + s.socket, "--pid-file=" + s.pid_file, "--format=raw",
                           "--persistent", "--shared=16", "--discard=unmap", s.disk});
    return all;
}

[[nodiscard]] inline std::vector<std::string> storage_daemon_command(const nbd_service& s) {
    std::vector<std::string> all{"setpriv", "--pdeathsig", "KILL", "qemu-storage-daemon"};
    const std::vector<std::string> tls = psk_object(s);
    all.insert(all.end(), tls.begin(), tls.end());
    all.insert(all.end(),
               {"--pidfile", s.pid_file, "--blockdev",
                "driver=file,node-name=disk,discard=unmap,filename=" + s.disk, "--nbd-server",
                "addr.type=unix,max-connections=0,addr.path=" + s.socket +
                    (tls.empty() ? "" : ",tls-creds=tls"),
                "--export", "type=nbd,id=disk,node-name=disk,name=,writable=on"});
    return all;
}

inline constexpr nbd_software nbdkit{"nbdkit", nbdkit_command};
inline constexpr nbd_software qemu_nbd{"qemu-nbd", qemu_nbd_command};
inline constexpr nbd_software storage_daemon{"qemu-storage-daemon", storage_daemon_command};

} // namespace uffdmm::test

#define UFFDMM_NEEDS_NBD_SERVER(software)                                                          \
    UFFDMM_NEEDS(uffdmm::test::is_on_path((software).program), (software).program)
#define UFFDMM_NEEDS_NBDKIT() UFFDMM_NEEDS_NBD_SERVER(uffdmm::test::nbdkit)
