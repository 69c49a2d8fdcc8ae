// SPDX-License-Identifier: BSD-3-Clause
#include "tier/ram/page_codec.hpp"

#include <lz4.h>
// Contexts in memory of our own are only offered to those who ask for them by this name.
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include "uffdmm/check.hpp"

namespace uffdmm {
namespace {

void set(ZSTD_CCtx* context, ZSTD_cParameter parameter, int value) {
    UFFDMM_CHECK(!ZSTD_isError(ZSTD_CCtx_setParameter(context, parameter, value)),
                 "zstd knows its parameters");
}

ZSTD_CCtx* make_context(std::span<std::byte> workspace, int level) {
    ZSTD_CCtx* const context = ZSTD_initStaticCCtx(workspace.data(), workspace.size());
    UFFDMM_CHECK(context != nullptr, "a compression context fits its workspace");
    set(context, ZSTD_c_compressionLevel, level);
    // What every page has in common need not be stored with each: ten bytes.
    set(context, ZSTD_c_format, ZSTD_f_zstd1_magicless);
    set(context, ZSTD_c_contentSizeFlag, 0);
    set(context, ZSTD_c_checksumFlag, 0);
    set(context, ZSTD_c_dictIDFlag, 0);
    return context;
}

} // namespace

std::size_t page_compressor::workspace_bytes() const noexcept {
    if (which_ == codec::lz4)
        return 0; // its 16 KiB are on the stack
    return ZSTD_estimateCCtxSize_usingCParams(ZSTD_getCParams(level_, page_size, 0));
}

std::uint32_t page_compressor::compress(const std::byte* page, std::span<std::byte> out) noexcept {
    if (which_ == codec::lz4) {
        const int n = LZ4_compress_default(reinterpret_cast<const char*>(page),
                                           reinterpret_cast<char*>(out.data()), page_size,
                                           static_cast<int>(out.size()));
        return static_cast<std::uint32_t>(n);
    }
    if (context_ == nullptr)
        context_ = make_context(workspace_, level_);
    const std::size_t n = ZSTD_compress2(context_, out.data(), out.size(), page, page_size);
    return ZSTD_isError(n) ? 0 : static_cast<std::uint32_t>(n);
}

page_decompressor::page_decompressor(codec which) : which_(which) {
    if (which == codec::lz4)
        return;
    workspace_ = mapping::anonymous(ZSTD_estimateDCtxSize());
    context_ = ZSTD_initStaticDCtx(workspace_.data(), workspace_.size());
    UFFDMM_CHECK(context_ != nullptr, "a decompression context fits its workspace");
    UFFDMM_CHECK(
        !ZSTD_isError(ZSTD_DCtx_setParameter(context_, ZSTD_d_format, ZSTD_f_zstd1_magicless)),
        "zstd knows its parameters");
}

bool page_decompressor::decompress(std::span<const std::byte> in, std::byte* page) noexcept {
    if (which_ == codec::lz4)
        return LZ4_decompress_safe(reinterpret_cast<const char*>(in.data()),
                                   reinterpret_cast<char*>(page), static_cast<int>(in.size()),
                                   page_size) == static_cast<int>(page_size);
    return ZSTD_decompressDCtx(context_, page, page_size, in.data(), in.size()) == page_size;
}

} // namespace uffdmm
