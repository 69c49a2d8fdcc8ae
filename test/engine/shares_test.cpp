// SPDX-License-Identifier: BSD-3-Clause

/// A shard whose share of the limit is held by others.

#include "small_world.hpp"

namespace uffdmm::test {
namespace {

/// An account that holds all memory there is, and hears that others want some of it.
class hoarder final : private squeeze_listener {
  public:
    explicit hoarder(shard_world& w) : account_(w.money, w.options.pages, *this) {
        while (account_.try_charge(page_size))
            ++pages_;
    }
    ~hoarder() { give_up(pages_); }
    void give_up(page_count n) {
        account_.uncharge(bytes_of(n));
        pages_ -= n;
        (void)account_.headroom(); // hands out what others ask for
    }
    [[nodiscard]] unsigned asked() const { return asked_; }

  private:
    void squeezed() noexcept override { ++asked_; }

    account account_;
    page_count pages_ = 0;
    unsigned asked_ = 0;
};

} // namespace

TEST_CASE("limit: a shard with nothing to give up waits for those that hold its share") {
    shard_world w(slow_world());
    hoarder other(w);
    w.start_access(0, {0}, true);
    w.steps(200);
    CHECK(w.blocked(0));
    CHECK(other.asked() != 0);
    other.give_up(64);
    w.wait_for_vcpu(0);
    CHECK_FALSE(w.seen(event::kind::over_limit));
}

TEST_CASE("limit: where nobody gives it its share a shard goes over the limit in the end") {
    shard_world w(slow_world());
    hoarder other(w);
    w.start_access(0, {0}, true);
    w.wait_for_vcpu(0);
    CHECK(w.seen(event::kind::over_limit));
}

} // namespace uffdmm::test
