// SPDX-License-Identifier: BSD-3-Clause
#include "run/control.hpp"

#include <memory>
#include <string>
#include <utility>

#include <unistd.h>

#include "run/inside.hpp"
#include "run/statistics.hpp"
#include "run/tell.hpp"
#include "uffdmm/control.hpp"

namespace preload::control {
namespace {

/// Called on the server's thread, which is `inside` for good.
class target final : public uffdmm::control_target {
  public:
    explicit target(managed_space& s) noexcept : space_(s) {}

    std::string statistics() override { return statistics_of(space_); }
    uffdmm::byte_count limit() override { return space_.limit(); }
    uffdmm::result<void> set_limit(uffdmm::byte_count limit) override {
        return space_.set_limit(limit);
    }
    uffdmm::result<std::vector<uffdmm::control_region>> regions() override {
        return space_.regions();
    }
    uffdmm::result<uffdmm::byte_count> evict(std::string_view region) override {
        return space_.evict(region);
    }

  private:
    managed_space& space_;
};

/// Never destroyed: its thread is at work to the very end.
uffdmm::control_server* server = nullptr;
pid_t serving = 0;
/// The server's descriptors are open in this process.
bool serving_here = false;

void set(std::unique_ptr<uffdmm::control_server> made) noexcept {
    server = made.release();
    serving = ::getpid();
    serving_here = true;
}

} // namespace

void serve(managed_space& s) {
    const settings& asked = s.asked();
    auto* const controlled = new target(s); // as the server
    const std::string heir_of = server != nullptr ? server->identity() : asked.heir_of;
    set(std::make_unique<uffdmm::control_server>(*controlled, asked.control_socket, heir_of));
}

void go_on_serving(managed_space& s) noexcept {
    const inside_scope library;
    if (s.asked().control_socket.empty() || serving == ::getpid())
        return;
    try {
        serve(s);
    } catch (const std::exception& e) {
        tell("--control: %s", e.what());
    }
}

/// Once: the descriptors' numbers may be others' afterwards.
void forget_in_child() noexcept {
    if (!std::exchange(serving_here, false))
        return;
    server->forget_in_child();
}

std::string identity() {
    return server != nullptr ? server->identity() : std::string();
}

void remove_socket() noexcept {
    const inside_scope library;
    if (server != nullptr && serving == ::getpid())
        server->remove_socket();
}

} // namespace preload::control
