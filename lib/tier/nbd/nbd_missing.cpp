// SPDX-License-Identifier: BSD-3-Clause

/// In the place of nbd_tier.cpp where libnbd is missing.

#include "tier/nbd/nbd_tier.hpp"
#include "uffdmm/result.hpp"

namespace uffdmm {

tier_factory make_nbd_tier_factory(const nbd_tier_config&) {
    throw setup_error(errc::not_supported,
                      "tiers[].kind: \"nbd\" is not in this build of the library, which was made "
                      "without libnbd (meson setup -Dnbd=enabled); allowed: ram, file");
}

} // namespace uffdmm
