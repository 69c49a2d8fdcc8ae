// SPDX-License-Identifier: BSD-3-Clause
#include "run/qemu/handover.hpp"

#include <cstring>

#include <sys/random.h>

namespace preload::qemu {
namespace {

/// What fails may have happened all the same, so it is tried again.
constexpr int accept_tries = 3;

std::string text_of(const uffdmm::error& failure) {
    std::string text = failure.operation;
    text.append(": ").append(uffdmm::to_string(failure.code));
    if (failure.os_errno != 0)
        text.append(", ").append(::strerrordesc_np(failure.os_errno));
    return text;
}

} // namespace

std::string handover::announce(uffdmm::shared_store& store) {
    store_ = &store;
    if (::getrandom(nonce_.data(), nonce_.size(), 0) != static_cast<ssize_t>(nonce_.size()))
        return "there are no random numbers";
    return {};
}

/// Even if it fails it may have happened: take_over() finds out.
std::string handover::offer() {
    now_ = side::offered;
    const auto done = store_->offer(nonce_, false);
    return done ? std::string() : text_of(done.failure());
}

std::string handover::attach(uffdmm::shared_store& store, const uffdmm::volume_name& volume,
                             const uffdmm::handover_nonce& nonce) {
    store_ = &store;
    nonce_ = nonce;
    if (const auto done = store.attach(volume); !done)
        return text_of(done.failure());
    now_ = side::announced;
    return {};
}

std::string handover::take_back(void (*end_leases)()) {
    if (const auto done = store_->cancel(); !done)
        return "the destination has taken the guest's swapped memory over, so it cannot run here "
               "(" +
               text_of(done.failure()) + ")";
    end_leases();
    return {};
}

std::string handover::accept() {
    uffdmm::error failure;
    for (int tries = 0; tries < accept_tries; ++tries) {
        const auto done = store_->accept(nonce_);
        if (done)
            return {};
        failure = done.failure();
        if (failure.code != uffdmm::errc::io_error)
            break;
    }
    return "the guest's swapped memory cannot be taken over from the source (" + text_of(failure) +
           ")";
}

std::string handover::take_over(void (*end_leases)()) {
    std::string wrong;
    if (now_ == side::offered)
        wrong = take_back(end_leases);
    else if (now_ == side::received)
        wrong = accept();
    else if (now_ == side::announced)
        wrong = "the source has not offered the guest's swapped memory";
    if (wrong.empty())
        now_ = side::ours;
    return wrong;
}

void handover::abandon() noexcept {
    if (now_ == side::announced || now_ == side::received) {
        (void)store_->detach();
        now_ = side::ours;
    }
}

} // namespace preload::qemu
