// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Compressing and decompressing single pages. All memory is set aside beforehand.

#include <cstddef>
#include <cstdint>
#include <span>

#include "uffdmm/config.hpp"
#include "uffdmm/detail/mapping.hpp"
#include "uffdmm/types.hpp"

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace uffdmm {

/// One thread at a time.
class page_compressor {
  public:
    /// `level`: zstd only, 1 to 19.
    page_compressor(codec which, int level) : which_(which), level_(level) {}

    /// Whether a page takes few microseconds.
    [[nodiscard]] bool is_fast() const noexcept { return which_ == codec::lz4; }

    /// Bytes of the workspace that compress() needs; it is kept between calls.
    [[nodiscard]] std::size_t workspace_bytes() const noexcept;
    void set_workspace(std::span<std::byte> workspace) noexcept { workspace_ = workspace; }

    /// Compresses a page into `out`; 0 if it does not fit.
    [[nodiscard]] std::uint32_t compress(const std::byte* page, std::span<std::byte> out) noexcept;

  private:
    codec which_;
    int level_;
    std::span<std::byte> workspace_;
    ZSTD_CCtx_s* context_ = nullptr; ///< in the workspace, made by the first call
};

/// One thread at a time.
class page_decompressor {
  public:
    /// Throws setup_error (no_memory).
    explicit page_decompressor(codec which);

    /// False if the bytes are not a compressed page. Allocates nothing.
    [[nodiscard]] bool decompress(std::span<const std::byte> in, std::byte* page) noexcept;
    [[nodiscard]] byte_count memory_bytes() const noexcept { return workspace_.size(); }

  private:
    codec which_;
    mapping workspace_;
    ZSTD_DCtx_s* context_ = nullptr; ///< in the workspace
};

} // namespace uffdmm
