// SPDX-License-Identifier: BSD-3-Clause

/// Two processes hand a volume over, and one of them ends at every write on the way. Afterwards at
/// most one can go on, it reads every byte, and nothing is lost in the store.

#include <array>
#include <csignal>
#include <cstring>
#include <optional>

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/sanitizers.hpp"
#include "tier/shared/shared_rig.hpp"

namespace {

using namespace uffdmm;
using namespace uffdmm::test;

constexpr std::size_t pages = 150;
constexpr int never = -1;

struct order {
    char what = 0;
    int crash_at = never; ///< write or sync of the order's own thread at which the process ends
};
struct answer {
    int code = 0; ///< errc
    int value = 0;
};

/// What a child does, in a process with nothing of Catch's: it ends with _exit.
class child {
  public:
    child(std::string path, int socket) : volume_(open_volume(path)), socket_(socket) {
        shard_.emplace(volume_);
    }

    [[noreturn]] void serve() {
        for (order o; ::read(socket_, &o, sizeof o) == sizeof o;) {
            const pid_t thread = ::gettid();
            int left = o.crash_at;
            volume_->table().on_step([&left, thread](std::string_view) {
                if (left >= 0 && ::gettid() == thread && left-- == 0)
                    ::_exit(42);
            });
            const answer a = obey(o.what);
            volume_->table().on_step({});
            if (::write(socket_, &a, sizeof a) != sizeof a)
                break;
        }
        ::_exit(1);
    }

  private:
    answer obey(char what) {
        switch (what) {
        case 's': // store and locate
            slots_ = store_all(*shard_, *volume_, keys(0, pages));
            return give_places();
        case 'a':
            return take_places();
        case 'o':
            return done(volume_->offer(nonce_of(7), false));
        case 'c':
            return done(volume_->cancel());
        case 'p':
            return done(volume_->accept(nonce_of(7)));
        case 'q': {
            const auto now = volume_->outcome();
            return {static_cast<int>(now.code()), now ? static_cast<int>(now.value()) : -1};
        }
        case 'v': // verify
            shard_->require_contents(slots_, keys(0, pages));
            return {};
        case 'w': // go on: change a third, write more, verify all
            return work();
        case 'd':
            shard_->release(slots_);
            slots_.clear();
            return done(volume_->detach());
        case 'e':
            shard_.reset();
            volume_.reset();
            ::_exit(0);
        default:
            return {-1, 0};
        }
    }
    static answer done(const result<void>& r) { return {static_cast<int>(r.code()), 0}; }

    answer give_places() {
        const encoded_volume_name name = encode(volume_->volume());
        bool sent = ::write(socket_, name.data(), name.size()) > 0;
        for (const location& place : locate_all(*shard_, slots_)) {
            const encoded_location bytes = encode(place);
            sent = sent && ::write(socket_, bytes.data(), bytes.size()) > 0;
        }
        return {sent ? 0 : -1, 0};
    }
    answer take_places() {
        encoded_volume_name name{};
        if (::recv(socket_, name.data(), name.size(), MSG_WAITALL) <= 0)
            return {-1, 0};
        const auto attached = volume_->attach(decode_volume_name(name).value());
        std::vector<location> places;
        for (std::size_t i = 0; i < pages; ++i) {
            encoded_location bytes{};
            if (::recv(socket_, bytes.data(), bytes.size(), MSG_WAITALL) <= 0)
                return {-1, 0};
            places.push_back(decode_location(bytes).value());
        }
        if (attached)
            slots_ = adopt_all(*shard_, places);
        return done(attached);
    }
    answer work() {
        shard_->tier().end_leases();
        auto contents = keys(0, pages);
        for (std::size_t i = 0; i < pages; i += 3) {
            shard_->tier().release(slots_[i]);
            contents[i] = 10'000 + i;
            slots_[i] = store_all(*shard_, *volume_, {contents[i]}).front();
        }
        const auto more = store_all(*shard_, *volume_, keys(50'000, 500));
        shard_->require_contents(slots_, contents);
        shard_->require_contents(more, keys(50'000, 500));
        return {};
    }

    std::shared_ptr<shared_volume> volume_;
    std::optional<shard_rig> shard_;
    std::vector<slot_id> slots_;
    int socket_;
};

/// The parent's end of a child.
class process {
  public:
    explicit process(const std::string& path) {
        std::array<int, 2> ends{};
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
        pid_ = ::fork();
        if (pid_ == 0) {
            ::close(ends[0]);
            try {
                child(path, ends[1]).serve();
            } catch (...) { // a failed REQUIRE
            }
            ::_exit(3);
        }
        ::close(ends[1]);
        socket_ = ends[0];
    }
    process(const process&) = delete;
    process& operator=(const process&) = delete;
    ~process() {
        if (pid_ > 0)
            kill_now();
        ::close(socket_);
    }

    void send(char what, int crash_at = never) {
        const order o{what, crash_at};
        REQUIRE(::send(socket_, &o, sizeof o, MSG_NOSIGNAL) == sizeof o);
    }
    /// Nothing if the process ended instead, as it was told to.
    std::optional<answer> receive() {
        answer a;
        if (::recv(socket_, &a, sizeof a, MSG_WAITALL) == sizeof a)
            return a;
        int status = 0;
        REQUIRE(::waitpid(pid_, &status, 0) == pid_);
        pid_ = -1;
        REQUIRE(WIFEXITED(status));
        REQUIRE(WEXITSTATUS(status) == 42);
        return {};
    }
    std::optional<answer> ask(char what, int crash_at = never) {
        send(what, crash_at);
        return receive();
    }
    errc code(char what) {
        const auto a = ask(what);
        REQUIRE(a);
        return static_cast<errc>(a->code);
    }
    void kill_now() {
        ::kill(pid_, SIGKILL);
        REQUIRE(::waitpid(pid_, nullptr, 0) == pid_);
        pid_ = -1;
    }
    void end() {
        send('e');
        int status = 0;
        REQUIRE(::waitpid(pid_, &status, 0) == pid_);
        pid_ = -1;
        REQUIRE(WIFEXITED(status));
        REQUIRE(WEXITSTATUS(status) == 0);
    }
    [[nodiscard]] bool alive() const { return pid_ > 0; }
    [[nodiscard]] int socket() const { return socket_; }

  private:
    pid_t pid_ = -1;
    int socket_ = -1;
};

/// Source and destination, after the destination has adopted everything.
struct handing_over {
    temporary_directory directory;
    std::string path = directory.file("store");
    process source{path};
    process destination{path};

    handing_over() {
        source.send('s');
        std::array<char, volume_name_bytes + pages * location_bytes> sent{};
        REQUIRE(::recv(source.socket(), sent.data(), sent.size(), MSG_WAITALL) ==
                static_cast<ssize_t>(sent.size()));
        REQUIRE(source.receive());
        destination.send('a');
        REQUIRE(::send(destination.socket(), sent.data(), sent.size(), MSG_NOSIGNAL) ==
                static_cast<ssize_t>(sent.size()));
        const auto adopted = destination.receive();
        REQUIRE(adopted);
        REQUIRE(adopted->code == 0);
    }

    /// Everybody ends; whatever the dead have left is found and freed.
    void end_all() {
        for (process* p : {&source, &destination})
            if (p->alive())
                p->end();
        volume_table table(path);
        REQUIRE(table.reclaim().ok());
        require_all_free(path);
    }
};

bool can_fork() {
#if UFFDMM_UNDER_TSAN
    return false; // threads of a forked child are beyond it
#else
    return true;
#endif
}

} // namespace

TEST_CASE("handover: with nobody ending, the destination goes on and nothing is left behind") {
    if (!can_fork())
        return;
    handing_over h;
    REQUIRE(h.destination.code('v') == errc::ok);
    REQUIRE(h.source.code('o') == errc::ok);
    REQUIRE(h.destination.code('p') == errc::ok);
    const auto now = h.source.ask('q');
    REQUIRE(now);
    CHECK(now->value == static_cast<int>(handover::given));
    h.source.end();
    CHECK(h.destination.code('w') == errc::ok);
    h.destination.end();
    require_all_free(h.path); // without reclaim()
}

TEST_CASE("double_ownership: the source may end at every step of offering") {
    if (!can_fork())
        return;
    int accepted = 0;
    int refused = 0;
    for (int step = 0;; ++step) {
        handing_over h;
        if (h.source.ask('o', step)) { // there are no more steps
            REQUIRE(step > 3);
            break;
        }
        CHECK(h.destination.code('v') == errc::ok); // readable whatever happened
        if (h.destination.code('p') == errc::ok) {
            ++accepted;
            CHECK(h.destination.code('w') == errc::ok);
        } else {
            ++refused;
            CHECK(h.destination.code('d') == errc::ok);
        }
        h.end_all();
    }
    CHECK(accepted > 0);
    CHECK(refused > 0);
}

TEST_CASE("double_ownership: the destination may end at every step of accepting") {
    if (!can_fork())
        return;
    int given = 0;
    int kept = 0;
    for (int step = 0;; ++step) {
        handing_over h;
        REQUIRE(h.source.code('o') == errc::ok);
        if (h.destination.ask('p', step)) {
            REQUIRE(step > 6);
            break;
        }
        const auto now = h.source.ask('q');
        REQUIRE(now);
        REQUIRE(now->code == 0);
        if (now->value == static_cast<int>(handover::given)) {
            ++given;
            CHECK(h.source.code('c') == errc::wrong_state); // it must not go on
        } else {
            ++kept;
            CHECK(h.source.code('c') == errc::ok);
            CHECK(h.source.code('v') == errc::ok);
            CHECK(h.source.code('w') == errc::ok);
        }
        h.end_all();
    }
    CHECK(given > 0);
    CHECK(kept > 0);
}

TEST_CASE("double_ownership: the source may end at every step of cancelling") {
    if (!can_fork())
        return;
    int accepted = 0;
    int refused = 0;
    for (int step = 0;; ++step) {
        handing_over h;
        REQUIRE(h.source.code('o') == errc::ok);
        if (h.source.ask('c', step)) {
            REQUIRE(step > 1);
            CHECK(h.destination.code('p') == errc::wrong_state);
            break;
        }
        if (h.destination.code('p') == errc::ok) {
            ++accepted;
            CHECK(h.destination.code('w') == errc::ok);
        } else {
            ++refused;
            CHECK(h.destination.code('d') == errc::ok);
        }
        h.end_all();
    }
    CHECK(accepted > 0);
    CHECK(refused > 0);
}

TEST_CASE("double_ownership: cancelling and accepting at once, one of them succeeds") {
    if (!can_fork())
        return;
    for (int round = 0; round < 5; ++round) {
        handing_over h;
        REQUIRE(h.source.code('o') == errc::ok);
        h.source.send('c');
        h.destination.send('p');
        const auto cancelled = h.source.receive();
        const auto accepted = h.destination.receive();
        REQUIRE(cancelled);
        REQUIRE(accepted);
        REQUIRE((cancelled->code == 0) != (accepted->code == 0));
        CHECK((cancelled->code == 0 ? h.source : h.destination).code('w') == errc::ok);
        if (cancelled->code == 0)
            CHECK(h.destination.code('d') == errc::ok);
        h.end_all();
    }
}

TEST_CASE("double_ownership: a killed destination costs the source nothing") {
    if (!can_fork())
        return;
    for (const bool offered : {false, true}) {
        handing_over h;
        if (offered)
            REQUIRE(h.source.code('o') == errc::ok);
        h.destination.kill_now();
        CHECK(h.source.code('c') == errc::ok);
        CHECK(h.source.code('v') == errc::ok);
        CHECK(h.source.code('w') == errc::ok);
        h.end_all();
    }
}

TEST_CASE("double_ownership: a source killed after its offer costs the destination nothing") {
    if (!can_fork())
        return;
    handing_over h;
    REQUIRE(h.source.code('o') == errc::ok);
    h.source.kill_now();
    {
        volume_table table(h.path);
        const auto freed = table.reclaim(); // not what somebody reads from
        REQUIRE(freed.ok());
        CHECK(freed.value().volumes == 0);
    }
    CHECK(h.destination.code('v') == errc::ok);
    CHECK(h.destination.code('p') == errc::ok);
    CHECK(h.destination.code('w') == errc::ok);
    h.destination.end();
    require_all_free(h.path);
}

TEST_CASE("double_ownership: a source killed before its offer is found by the next to need room") {
    if (!can_fork())
        return;
    handing_over h;
    h.source.kill_now();
    CHECK(h.destination.code('p') == errc::wrong_state);
    CHECK(h.destination.code('d') == errc::ok);
    const auto next = open_volume(h.path);
    const auto all = next->table().look();
    REQUIRE(all.ok());
    CHECK(all.value().volumes.size() == 2); // the destination's and this one
}

TEST_CASE("double_ownership: a process may end at every step of opening and closing") {
    if (!can_fork())
        return;
    for (const bool closing : {false, true})
        for (int step = 0;; ++step) {
            temporary_directory directory;
            const std::string path = directory.file("store");
            { volume_table made(shared_config(path)); }
            const pid_t pid = ::fork();
            REQUIRE(pid >= 0);
            if (pid == 0) {
                volume_table table(path);
                int left = step;
                const auto hook = [&left](std::string_view) {
                    if (left-- == 0)
                        ::_exit(42);
                };
                if (!closing)
                    table.on_step(hook);
                bool ok = table.open_volume("t").ok() && table.claim(5).ok();
                if (closing)
                    table.on_step(hook);
                ok = ok && table.close().ok();
                ::_exit(ok ? 0 : 1);
            }
            int status = 0;
            REQUIRE(::waitpid(pid, &status, 0) == pid);
            REQUIRE(WIFEXITED(status));
            if (WEXITSTATUS(status) != 42) {
                REQUIRE(WEXITSTATUS(status) == 0);
                REQUIRE(step > 3);
                require_all_free(path);
                break;
            }
            volume_table table(path);
            REQUIRE(table.reclaim().ok());
            require_all_free(path);
        }
}
