// SPDX-License-Identifier: BSD-3-Clause
#include "load/workload_memory.hpp"

#include <cerrno>

#include <sys/mman.h>

#include "uffdmm/result.hpp"
#include "uffdmm/stats_json.hpp"

namespace load {
namespace {

class plain_memory final : public workload_memory {
  public:
    explicit plain_memory(uffdmm::byte_count size) : size_(size) {
        void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (at == MAP_FAILED)
            throw uffdmm::setup_error(uffdmm::errc::system, "--region: mmap failed", errno);
        data_ = static_cast<std::byte*>(at);
        // Pages of one size on both sides.
        ::madvise(at, size, MADV_NOHUGEPAGE);
    }
    ~plain_memory() override { ::munmap(data_, size_); }

    [[nodiscard]] std::byte* data() const override { return data_; }
    [[nodiscard]] std::string statistics() const override { return "null"; }

  private:
    std::byte* data_ = nullptr;
    uffdmm::byte_count size_;
};

class library_memory final : public workload_memory {
  public:
    explicit library_memory(const options& asked)
        : manager_(asked.manager), region_(manager_.add_region(asked.region)) {}

    [[nodiscard]] std::byte* data() const override { return region_.data(); }
    [[nodiscard]] std::string statistics() const override {
        return uffdmm::to_json(manager_.statistics());
    }

  private:
    uffdmm::manager manager_;
    uffdmm::region& region_;
};

} // namespace

std::unique_ptr<workload_memory> make_memory(const options& asked) {
    if (asked.side == memory_side::kernel)
        return std::make_unique<plain_memory>(asked.region.size);
    return std::make_unique<library_memory>(asked);
}

} // namespace load
