// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Trims free slots of an export.
///
///            start()               answer, or lost connection     shard's mailbox
///     idle ───────────► at the link ───────────► mail ───────────► idle
///                                                        (orphan: deletes itself)

#include <memory>
#include <utility>

#include "tier/file/slot_store.hpp"
#include "tier/file/trimmer.hpp"
#include "tier/nbd/nbd_link.hpp"
#include "uffdmm/executor.hpp"

namespace uffdmm {

/// Owner: an nbd_trimmer, until it goes away while mail is on its way.
class nbd_trim final : public message, private nbd_requester {
  public:
    nbd_trim(nbd_link& link, mailbox& home, trim_listener& listener)
        : link_(link), home_(home), listener_(&listener) {
        command_.what = nbd_command::kind::trim;
        command_.from = this;
        command_.link = &link;
    }
    ~nbd_trim() = default;

    [[nodiscard]] bool busy() const noexcept { return busy_; }
    void start(std::uint64_t offset, std::uint32_t bytes) noexcept {
        busy_ = true;
        command_.offset = offset;
        command_.bytes = bytes;
        link_.submit(command_);
    }
    /// Afterwards the link knows nothing of it any more.
    static void abandon(std::unique_ptr<nbd_trim> trim) noexcept {
        trim->link_.leave(*trim);
        trim->listener_ = nullptr;
        if (trim->busy_) // the mail is on its way, and will delete it
            static_cast<void>(trim.release());
    }

    void deliver() noexcept override { // shard thread
        busy_ = false;
        if (listener_ != nullptr)
            listener_->trim_ended();
        else
            delete this;
    }

  private:
    void ended(nbd_command&) noexcept override { home_.post(*this); }
    void signal() noexcept override {}

    nbd_link& link_;
    mailbox& home_;
    trim_listener* listener_;
    nbd_command command_;
    bool busy_ = false; ///< shard thread only
};

/// Owner: a file tier; all calls from its thread.
class nbd_trimmer final : public trimmer {
  public:
    nbd_trimmer(std::shared_ptr<nbd_link> link, const slot_store& store, mailbox& home,
                trim_listener& listener)
        : link_(std::move(link)), store_(store),
          trim_(std::make_unique<nbd_trim>(*link_, home, listener)) {}
    ~nbd_trimmer() override { nbd_trim::abandon(std::move(trim_)); }

    [[nodiscard]] bool busy() const noexcept override { return trim_->busy(); }
    void start(slot_run run) noexcept override {
        trim_->start(store_.offset_of(run.first), static_cast<std::uint32_t>(bytes_of(run.count)));
    }

  private:
    std::shared_ptr<nbd_link> link_;
    const slot_store& store_;
    std::unique_ptr<nbd_trim> trim_;
};

} // namespace uffdmm
