// SPDX-License-Identifier: BSD-3-Clause
#include "tier/ram/compress_job.hpp"

#include "tier/checksum.hpp"

namespace uffdmm {
namespace {

std::size_t outputs_offset(const page_compressor& compressor) {
    return (compressor.workspace_bytes() + 63) & ~std::size_t{63};
}

} // namespace

compress_job::compress_job(mailbox& home, compress_owner& owner, const page_compressor& compressor,
                           std::uint32_t length_limit)
    : job(home), owner_(owner), compressor_(compressor), length_limit_(length_limit),
      memory_(mapping::anonymous(outputs_offset(compressor) + most_pages * length_limit)),
      outputs_(memory_.data() + outputs_offset(compressor)) {
    compressor_.set_workspace({memory_.data(), compressor.workspace_bytes()});
}

byte_count compress_job::memory_bytes(const page_compressor& compressor,
                                      std::uint32_t length_limit) noexcept {
    return uffdmm::bytes_of(pages_of(outputs_offset(compressor) + most_pages * length_limit));
}

void compress_job::run() noexcept {
    while (!run_part()) {
    }
}

bool compress_job::run_part() noexcept {
    if (compressed_ != count_) {
        std::byte* const to = output(compressed_);
        result& r = results_[compressed_++];
        r.length = compressor_.compress(r.request->contents, {to, length_limit_});
        r.checksum = checksum({to, r.length}, r.request->owner);
    }
    return compressed_ == count_;
}

} // namespace uffdmm
