// SPDX-License-Identifier: BSD-3-Clause

/// Migration by locations between a QEMU and a library that are not there.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "run/inside.hpp"
#include "run/qemu/handover.hpp"
#include "run/qemu/page_marks.hpp"
#include "run/qemu/receiver.hpp"
#include "run/qemu/sender.hpp"
#include "support/catch.hpp"

namespace preload {
constinit thread_local bool inside = false;
} // namespace preload

namespace {

using namespace preload::qemu;
using uffdmm::byte_count;
using uffdmm::errc;
using uffdmm::error;
using uffdmm::page_kind;
using uffdmm::page_record;
using uffdmm::result;

constexpr std::size_t page = 4096;
constexpr std::size_t pages = 600;

/// What happened, in order, and what the two sides consist of.
struct world {
    std::vector<std::string> events;
    std::vector<page_record> is = std::vector<page_record>(pages); ///< on the source
    std::vector<std::string> arrived = std::vector<std::string>(pages);
    std::vector<std::byte> memory = std::vector<std::byte>(pages * page);
    std::string stream;
    std::size_t read = 0;
    bool rate_exceeded = false;
    bool leases_ended = false;
    bool leases_stay = false;
    bool discarded = false;
    errc store_says = errc::ok;

    [[nodiscard]] std::size_t find(const std::string& event) const {
        for (std::size_t at = 0; at < events.size(); ++at)
            if (events[at] == event)
                return at;
        return events.size();
    }
};
world* here = nullptr;

uffdmm::location place_of(std::size_t at) {
    uffdmm::location place;
    place.store.bytes[0] = 1;
    place.offset = at * page;
    place.generation = 7;
    return place;
}

class fake_source final : public uffdmm::migration_source {
  public:
    ~fake_source() override { here->leases_ended = !here->leases_stay; }
    result<uffdmm::page_view> page(byte_count) override { return error{errc::not_supported}; }
    result<void> look(byte_count offset, byte_count length,
                      const uffdmm::look_output& out) override {
        here->events.emplace_back("look");
        for (std::size_t i = 0; i < length / ::page; ++i) {
            const std::size_t at = offset / ::page + i;
            out.records[i] = here->is[at];
            out.locations[i] = place_of(at);
            if (here->is[at].kind == page_kind::swapped)
                std::memset(out.contents + i * ::page, 's', ::page);
        }
        return {};
    }
    result<std::vector<uffdmm::record_run>> walk(byte_count offset, byte_count length) override {
        std::vector<uffdmm::record_run> runs;
        for (byte_count at = offset; at < offset + length; at += ::page)
            runs.push_back({at, ::page, here->is[at / ::page]});
        return runs;
    }
    result<void> complete() override {
        here->leases_stay = true;
        return {};
    }
    result<void> cancel() override { return {}; }
};

class fake_target final : public uffdmm::migration_target {
  public:
    result<void> put(byte_count offset, std::span<const std::byte> contents,
                     uffdmm::warmth) override {
        here->arrived[offset / page] = static_cast<char>(contents.back());
        return {};
    }
    result<void> zero(byte_count offset, byte_count length) override {
        for (byte_count at = offset; at < offset + length; at += page)
            here->arrived[at / page] = "zero";
        return {};
    }
    result<void> adopt(byte_count offset, const uffdmm::location& place) override {
        CHECK(place == place_of(offset / page));
        here->arrived[offset / page] = "located";
        return {};
    }
    result<void> flush() override {
        here->events.emplace_back("flush");
        return {};
    }
};

class fake_store final : public uffdmm::shared_store {
  public:
    [[nodiscard]] uffdmm::store_id id() const noexcept override { return {}; }
    [[nodiscard]] uffdmm::volume_name volume() const noexcept override {
        return {place_of(0).store, 3, 9};
    }
    result<void> offer(const uffdmm::handover_nonce&, bool) noexcept override { return say(); }
    result<void> cancel() noexcept override { return say(); }
    result<uffdmm::handover> outcome() noexcept override { return uffdmm::handover::own; }
    result<void> attach(const uffdmm::volume_name& source) noexcept override {
        CHECK(source == volume());
        return say();
    }
    result<void> accept(const uffdmm::handover_nonce&) noexcept override { return say(); }
    result<void> detach() noexcept override {
        here->events.emplace_back("detach");
        return {};
    }

  private:
    static result<void> say() {
        if (here->store_says == errc::ok)
            return {};
        return error{here->store_says, 0, "the store"};
    }
};

class fake_region final : public uffdmm::region {
  public:
    [[nodiscard]] const std::string& name() const noexcept override { return name_; }
    [[nodiscard]] std::byte* data() const noexcept override { return here->memory.data(); }
    [[nodiscard]] byte_count size() const noexcept override { return pages * page; }
    result<void> discard(byte_count, byte_count) override {
        here->discarded = true;
        return {};
    }
    result<void> pin(byte_count, byte_count) override { return {}; }
    result<void> unpin(byte_count, byte_count) override { return {}; }
    result<std::vector<uffdmm::residency_run>> query(byte_count, byte_count) override {
        return error{errc::not_supported};
    }
    result<void> prefetch(byte_count, byte_count) override { return {}; }
    result<byte_count> evict(byte_count, byte_count) override { return byte_count{0}; }
    result<std::unique_ptr<uffdmm::migration_source>>
    begin_source(const uffdmm::migration_source_options& options) override {
        CHECK(options.locations);
        return std::unique_ptr<uffdmm::migration_source>(new fake_source);
    }
    result<std::unique_ptr<uffdmm::migration_target>> begin_target() override {
        return std::unique_ptr<uffdmm::migration_target>(new fake_target);
    }
    [[nodiscard]] uffdmm::shared_store* store() const noexcept override { return &store_; }
    result<uffdmm::snapshot_report> save(const std::string&,
                                         const uffdmm::snapshot_options&) override {
        return error{errc::not_supported};
    }
    result<std::unique_ptr<uffdmm::restoration>> restore(const std::string&) override {
        return error{errc::not_supported};
    }

  private:
    std::string name_ = "area";
    mutable fake_store store_;
};

fake_region the_region;

moving_block the_block() {
    return {"pc.ram", here->memory.data(), pages * page, &the_region};
}

void put(const void* data, std::size_t length) {
    here->stream.append(static_cast<const char*>(data), length);
}

void put_be64(QEMUFile*, std::uint64_t word) {
    for (int shift = 56; shift >= 0; shift -= 8)
        here->stream.push_back(static_cast<char>(word >> shift));
}

std::size_t get(void* data, std::size_t length) {
    length = std::min(length, here->stream.size() - here->read);
    std::memcpy(data, here->stream.data() + here->read, length);
    here->read += length;
    return length;
}

std::uint64_t get_be64(QEMUFile*) {
    std::array<unsigned char, 8> bytes{};
    get(bytes.data(), bytes.size());
    std::uint64_t word = 0;
    for (const unsigned char byte : bytes)
        word = word << 8 | byte;
    return word;
}

calls fake_qemu() {
    calls qemu{};
    qemu.qemu_guest_free_page_hint = [](void* at, std::size_t length) {
        const auto first =
            static_cast<std::size_t>(static_cast<std::byte*>(at) - here->memory.data()) / page;
        here->events.push_back("hint " + std::to_string(first) + "+" +
                               std::to_string(length / page));
    };
    qemu.migration_rate_exceeded = [](QEMUFile*) { return here->rate_exceeded; };
    qemu.qemu_file_get_error = [](QEMUFile*) { return 0; };
    qemu.qemu_put_byte = [](QEMUFile*, int byte) {
        here->stream.push_back(static_cast<char>(byte));
    };
    qemu.qemu_put_be64 = put_be64;
    qemu.qemu_put_buffer = [](QEMUFile*, const void* data, std::size_t n) { put(data, n); };
    qemu.qemu_get_byte = [](QEMUFile*) {
        unsigned char byte = 0;
        get(&byte, 1);
        return int{byte};
    };
    qemu.qemu_get_be64 = get_be64;
    qemu.qemu_get_buffer = [](QEMUFile*, void* data, std::size_t n) { return get(data, n); };
    qemu.qemu_get_counted_string = [](QEMUFile*, char* text) {
        unsigned char length = 0;
        get(&length, 1);
        get(text, length);
        text[length] = '\0';
        return std::size_t{length};
    };
    return qemu;
}

void announce_by_hand(byte_count bytes = pages * page) {
    put_be64(nullptr, encode({record_type::announcement}));
    const auto volume = uffdmm::encode(fake_store().volume());
    const uffdmm::handover_nonce nonce{1, 2, 3};
    put(volume.data(), volume.size());
    put(nonce.data(), nonce.size());
    put("\001\006pc.ram", 8);
    put_be64(nullptr, bytes);
    put_be64(nullptr, encode({record_type::end}));
}

struct two_sides {
    world all;
    calls qemu = fake_qemu();
    handover owner;
    sender out{(here = &all, qemu)};
    receiver in{qemu, owner};

    void announced() {
        announce_by_hand();
        REQUIRE(in.load(nullptr).empty());
    }
    void begin() {
        REQUIRE(out.begin({the_block()}).empty());
        out.take_pages();
    }
    void send_all() {
        CHECK(out.send_pending(nullptr, true).empty());
        put_be64(nullptr, encode({record_type::end}));
    }
};

constexpr page_record resident{page_kind::resident};
constexpr page_record located{page_kind::located};

} // namespace

namespace preload::qemu {
moving_block find_block(const calls&, const char* name) {
    return name == std::string("pc.ram") ? the_block() : moving_block{};
}
} // namespace preload::qemu

TEST_CASE("page_marks: the next mark is found, and marks are counted once") {
    page_marks marks(300);
    CHECK(marks.next(0) == page_marks::none);
    for (const std::size_t at :
         {std::size_t{63}, std::size_t{64}, std::size_t{299}, std::size_t{64}})
        marks.set(at);
    CHECK(marks.count() == 3);
    CHECK(marks.next(0) == 63);
    CHECK(marks.next(64) == 64);
    CHECK(marks.next(65) == 299);
    marks.clear(299);
    marks.clear(299);
    CHECK(marks.next(65) == page_marks::none);
    CHECK(marks.count() == 2);
}

TEST_CASE("locations: each page arrives as what it is") {
    two_sides t;
    t.all.is.assign(pages, resident);
    t.all.is[3] = {page_kind::untouched};
    t.all.is[4] = {page_kind::untouched};
    t.all.is[5] = located;
    t.all.is[6] = {page_kind::swapped};
    t.all.is[7] = {page_kind::same_filled, 0, errc::ok, 0x7070707070707070};
    t.all.is[599] = located;
    t.announced();
    t.begin();
    CHECK(t.all.find("hint 3+1") < t.all.events.size());
    CHECK(t.all.find("hint 599+1") < t.all.events.size());
    t.send_all();
    REQUIRE(t.in.load(nullptr).empty());
    CHECK(t.all.arrived[2].empty());
    CHECK(t.all.arrived[3] == "zero");
    CHECK(t.all.arrived[4] == "zero");
    CHECK(t.all.arrived[5] == "located");
    CHECK(t.all.arrived[6] == "s");
    CHECK(t.all.arrived[7] == "p");
    CHECK(t.all.arrived[599] == "located");
    CHECK(t.all.read == t.all.stream.size());
    CHECK(t.all.events.back() == "flush");
}

TEST_CASE("locations: a page is looked at after QEMU was told to pass it over") {
    two_sides t;
    t.all.is.assign(pages, resident);
    t.all.is[9] = located;
    t.begin();
    t.send_all();
    CHECK(t.all.find("hint 9+1") < t.all.find("look"));
}

TEST_CASE("locations: a page that came in before it was sent goes with its contents") {
    two_sides t;
    t.all.is.assign(pages, resident);
    t.all.is[9] = located;
    t.announced();
    t.begin();
    t.all.is[9] = resident;
    t.all.memory[9 * page + page - 1] = std::byte{'w'};
    t.send_all();
    REQUIRE(t.in.load(nullptr).empty());
    CHECK(t.all.arrived[9] == "w");
    CHECK(t.out.sent().resident == 1);
}

TEST_CASE("locations: a page is taken from QEMU once, whatever the guest does with it") {
    two_sides t;
    t.all.is.assign(pages, resident);
    t.all.is[9] = located;
    t.begin();
    t.send_all();
    t.all.is[10] = located;
    t.all.events.clear();
    t.out.take_pages();
    CHECK(t.all.events == std::vector<std::string>{"hint 10+1"});
}

TEST_CASE("locations: what the rate does not allow stays pending") {
    two_sides t;
    t.all.is.assign(pages, located);
    t.begin();
    t.all.rate_exceeded = true;
    CHECK(t.out.send_pending(nullptr, false).empty());
    CHECK(t.out.pending_bytes() == pages * 56);
    t.send_all();
    CHECK(t.out.done());
}

TEST_CASE("locations: a page that is lost ends the migration") {
    two_sides t;
    t.all.is.assign(pages, located);
    t.begin();
    t.all.is[0] = {page_kind::lost};
    CHECK_FALSE(t.out.send_pending(nullptr, true).empty());
}

TEST_CASE("locations: leases end unless the destination has the store") {
    for (const bool stay : {false, true}) {
        two_sides t;
        t.begin();
        t.out.end(stay);
        CHECK(t.all.leases_ended == !stay);
        CHECK_FALSE(t.out.active());
    }
}

TEST_CASE("locations: a destination without the store or the block refuses") {
    two_sides t;
    announce_by_hand(page);
    CHECK(t.in.load(nullptr).find("block pc.ram of that size is not managed") != std::string::npos);
    two_sides other;
    other.all.store_says = errc::not_found;
    announce_by_hand();
    CHECK(other.in.load(nullptr).find("the store: ") != std::string::npos);
}

TEST_CASE("locations: pages without an announcement, and damaged streams, are refused") {
    two_sides t;
    put_be64(nullptr, encode({record_type::zeros}));
    put_be64(nullptr, page);
    CHECK_FALSE(t.in.load(nullptr).empty());
    put_be64(nullptr, encode({static_cast<record_type>(9)}));
    CHECK_FALSE(t.in.load(nullptr).empty());
    put_be64(nullptr, encode({record_type::offered}));
    CHECK_FALSE(t.in.load(nullptr).empty());
}

TEST_CASE("locations: a migration that breaks off leaves nothing on the destination") {
    two_sides t;
    t.announced();
    CHECK(t.owner.now() == handover::side::announced);
    t.in.end();
    CHECK(t.all.discarded);
    CHECK(t.all.find("detach") < t.all.events.size());
    CHECK(t.owner.now() == handover::side::ours);
}

TEST_CASE("handover: the destination's guest may run once the store says so") {
    two_sides t;
    t.announced();
    CHECK_FALSE(t.owner.take_over([] {}).empty()); // nothing is offered yet
    put_be64(nullptr, encode({record_type::offered}));
    put_be64(nullptr, encode({record_type::end}));
    REQUIRE(t.in.load(nullptr).empty());
    t.in.end();
    CHECK_FALSE(t.all.discarded);
    t.all.store_says = errc::permission_denied;
    CHECK_FALSE(t.owner.take_over([] {}).empty());
    t.all.store_says = errc::ok;
    CHECK(t.owner.take_over([] {}).empty());
    CHECK(t.owner.now() == handover::side::ours);
}

TEST_CASE("handover: the source's guest runs again only if the destination has not accepted") {
    two_sides t;
    fake_store store;
    REQUIRE(t.owner.announce(store).empty());
    CHECK(t.owner.take_over([] {}).empty());
    REQUIRE(t.owner.offer().empty());
    t.all.store_says = errc::wrong_state;
    const auto end_leases = [] { here->leases_ended = true; };
    CHECK_FALSE(t.owner.take_over(end_leases).empty());
    CHECK_FALSE(t.all.leases_ended);
    t.all.store_says = errc::ok;
    CHECK(t.owner.take_over(end_leases).empty());
    CHECK(t.all.leases_ended);
}
