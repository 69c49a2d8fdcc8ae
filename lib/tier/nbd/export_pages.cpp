// SPDX-License-Identifier: BSD-3-Clause
#include "tier/nbd/export_pages.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "detail/little_endian.hpp"
#include "tier/checksum.hpp"
#include "tier/file/extent_pool.hpp"
#include "tier/nbd/nbd_call.hpp"
#include "uffdmm/detail/mapping.hpp"

namespace uffdmm {
namespace {

constexpr std::string_view text =
    "uffdmm pages of a shared store\nMemory of virtual machines, of several hosts at once. To use "
    "the export for something else, overwrite these lines once none of them runs.\n";
constexpr std::uint32_t label_version = 1;
constexpr std::size_t at_version = 192;
constexpr std::size_t at_id = 196;
constexpr std::size_t at_check = 508;
constexpr std::size_t label_size = 512; ///< a sector; the rest of the page is zeros
static_assert(text.size() <= at_version);

using label = std::span<std::byte>;

void encode_label(const store_id& id, label out) noexcept {
    std::ranges::fill(out, std::byte{0});
    std::memcpy(out.data(), text.data(), text.size());
    put_le(out.data() + at_version, label_version);
    std::memcpy(out.data() + at_id, id.bytes.data(), id.bytes.size());
    put_le(out.data() + at_check, checksum(out.first(at_check), label_version));
}

bool is_label(std::span<const std::byte> bytes) noexcept {
    return std::memcmp(bytes.data(), text.data(), text.find('\n')) == 0;
}

[[noreturn]] void refuse_export(errc code, const std::string& uri, const std::string& why,
                                int os_errno = 0) {
    throw setup_error(code, "tiers[].uri (\"" + uri + "\"): " + why, os_errno);
}

} // namespace

export_pages::export_pages(std::shared_ptr<nbd_link> link, std::string uri)
    : link_(std::move(link)), uri_(std::move(uri)) {
    if (!link_->one_for_all())
        refuse_export(errc::not_supported, uri_,
                      "the server does not show all clients the same (multi-conn and flush); "
                      "allowed: an export that does, or no shared_table");
    if (slots() == 0)
        refuse_export(errc::invalid_config, uri_,
                      "the export is too small for a shared store; allowed: at least 8192 bytes");
}

std::uint32_t export_pages::slots() const noexcept {
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>((link_->bytes() >> page_shift) - 1, extent_pool::max_slots));
}

void export_pages::name_store(const store_id& id) {
    const mapping page = mapping::anonymous(page_size);
    const label there(page.data(), page_size);
    nbd_call call(*link_);
    if (const auto done = call.read(0, there); !done)
        refuse_export(errc::io_error, uri_, "its first page cannot be read",
                      done.failure().os_errno);
    const mapping wanted = mapping::anonymous(page_size);
    encode_label(id, {wanted.data(), page_size});
    if (std::memcmp(page.data(), wanted.data(), label_size) == 0)
        return;
    if (is_label(there))
        refuse_export(errc::invalid_config, uri_,
                      "the export has the pages of another store, not those of shared_table");
    auto written = call.write(0, {wanted.data(), page_size});
    if (written)
        written = call.flush();
    if (!written)
        refuse_export(errc::io_error, uri_, "its first page cannot be written",
                      written.failure().os_errno);
}

result<void> export_pages::sync() {
    nbd_call call(*link_);
    return call.flush();
}

} // namespace uffdmm
