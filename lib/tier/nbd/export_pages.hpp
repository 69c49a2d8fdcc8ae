// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The pages of a shared store on an export that several hosts use at a time. Its records and its
/// extent table, for which hosts exclude each other, are in a file (README.md says why).
///
/// The first page of the export names the store, so that another export is found out before a page
/// is looked for on it:
///
///     text, up to byte 192 · version u32 · store id, 16 bytes · zeros · check u32 at byte 508

#include <memory>
#include <string>

#include "tier/nbd/nbd_link.hpp"
#include "tier/shared/pages_apart.hpp"

namespace uffdmm {

class export_pages final : public pages_apart {
  public:
    /// Throws setup_error where the server is not one for several hosts.
    export_pages(std::shared_ptr<nbd_link> link, std::string uri);

    [[nodiscard]] std::uint32_t slots() const noexcept override;
    void name_store(const store_id& id) override;
    [[nodiscard]] result<void> sync() override;

  private:
    std::shared_ptr<nbd_link> link_;
    std::string uri_;
};

} // namespace uffdmm
