// SPDX-License-Identifier: BSD-3-Clause
#include "support/fault_source.hpp"

namespace uffdmm::bench {

const char* to_string(operation what) {
    switch (what) {
    case operation::zeropage:
        return "ZEROPAGE";
    case operation::copy:
        return "COPY";
    case operation::move:
        return "MOVE";
    case operation::unprotect:
        return "WRITEPROTECT";
    }
    return "?";
}

} // namespace uffdmm::bench
