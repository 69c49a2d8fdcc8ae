// SPDX-License-Identifier: BSD-3-Clause
#include "run/installed.hpp"

#include <filesystem>

#include "uffdmm/result.hpp"

namespace preload {
namespace {

namespace fs = std::filesystem;

constexpr const char* file_name = "libuffdmm-preload.so";

/// `folder` without `tail` at its end; "" if it does not end so.
fs::path without_tail(fs::path folder, const fs::path& tail) {
    for (auto part = tail.end(); part != tail.begin();) {
        --part;
        if (folder.filename() != *part)
            return {};
        folder = folder.parent_path();
    }
    return folder;
}

} // namespace

std::string preload_library() {
    const fs::path here = fs::read_symlink("/proc/self/exe").parent_path();
    const fs::path beside = here / file_name;
    if (fs::exists(beside))
        return beside.string();
    // An absolute folder stays what it is.
    const fs::path installed = without_tail(here, UFFDMM_BINDIR) / UFFDMM_PRELOAD_DIR / file_name;
    if (fs::exists(installed))
        return installed.string();
    throw uffdmm::setup_error(uffdmm::errc::not_found,
                              "there is neither " + beside.string() + " nor " + installed.string());
}

} // namespace preload
