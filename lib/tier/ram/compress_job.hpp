// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// A batch of pages to compress: filled on the shard thread, compressed by whoever the executor
/// finds, page by page if need be, emptied on the shard thread again. It has all the memory it
/// needs, and touches it only when it is used for the first time.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "tier/ram/page_codec.hpp"
#include "uffdmm/detail/mapping.hpp"
#include "uffdmm/executor.hpp"
#include "uffdmm/tier.hpp"

namespace uffdmm {

class compress_job;

/// Gets the jobs back.
class compress_owner {
  public:
    virtual void compressed(compress_job& job) noexcept = 0; ///< shard thread

  protected:
    ~compress_owner() = default;
};

class compress_job final : public job {
  public:
    /// Pages of one job: few enough for workers to share a cluster of 64 and for its pages not to
    /// wait for each other for long, enough for a wake-up per job not to count.
    static constexpr std::size_t most_pages = 16;

    struct result {
        store_request* request = nullptr;
        std::uint32_t checksum = 0;
        std::uint32_t length = 0; ///< 0: the page compresses to more than the limit
    };

    /// `length_limit`: longest compressed page. Throws setup_error (no_memory).
    compress_job(mailbox& home, compress_owner& owner, const page_compressor& compressor,
                 std::uint32_t length_limit);

    /// Host memory of a job in use.
    [[nodiscard]] static byte_count memory_bytes(const page_compressor& compressor,
                                                 std::uint32_t length_limit) noexcept;

    // Shard thread, while the job is not submitted.
    void clear() noexcept { count_ = compressed_ = 0; }
    [[nodiscard]] bool is_filled() const noexcept { return count_ == most_pages; }
    void add(store_request& request) noexcept { results_[count_++].request = &request; }
    [[nodiscard]] std::span<const result> results() const noexcept {
        return {results_.data(), count_};
    }
    [[nodiscard]] std::span<const std::byte> bytes_of(const result& r) const noexcept {
        return {output(static_cast<std::size_t>(&r - results_.data())), r.length};
    }

    compress_job* next_free = nullptr;
    bool used = false; ///< its memory has been touched

  private:
    void run() noexcept override;
    bool run_part() noexcept override;
    [[nodiscard]] bool has_small_parts() const noexcept override { return compressor_.is_fast(); }
    void deliver() noexcept override { owner_.compressed(*this); }
    [[nodiscard]] std::byte* output(std::size_t index) const noexcept {
        return outputs_ + index * length_limit_;
    }

    compress_owner& owner_;
    page_compressor compressor_;
    std::uint32_t length_limit_;
    mapping memory_;
    std::byte* outputs_;
    std::size_t count_ = 0;
    std::size_t compressed_ = 0; ///< of them
    std::array<result, most_pages> results_;
};

} // namespace uffdmm
