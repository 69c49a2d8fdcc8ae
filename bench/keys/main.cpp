// SPDX-License-Identifier: BSD-3-Clause

/// compare-keys PROTOCOL SOCKET fill KEYS CONNECTIONS
/// compare-keys PROTOCOL SOCKET run KEYS CONNECTIONS SECONDS SET_PERCENT SEED
///
/// Load for a key-value server (redis, memcached) on a unix socket: every connection has one
/// request under way. Values have 1 to 4 KiB and compress to about 30 %; what a GET gives is
/// checked. Prints one line of JSON.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "keys/protocol.hpp"

namespace {

using clock_type = std::chrono::steady_clock;

std::uint64_t mix(std::uint64_t x) noexcept {
    x = (x ^ (x >> 30)) * 0xbf58'476d'1ce4'e5b9u;
    x = (x ^ (x >> 27)) * 0x94d0'49bb'1331'11ebu;
    return x ^ (x >> 31);
}

/// As redis-benchmark names them.
std::string key_of(std::uint64_t number) {
    std::string digits = std::to_string(number);
    return "key:" + std::string(12 - digits.size(), '0') + digits;
}

/// The same each time for a key: of every 512 bytes the first 128 are random.
std::string value_of(std::uint64_t key) {
    const std::uint64_t seed = mix(key + 1);
    std::string value(1024 + seed % 3073, '\0');
    for (std::size_t at = 0; at + 8 <= value.size(); at += 8) {
        const std::uint64_t word = at % 512 < 128 ? mix(seed + at) : key;
        std::memcpy(value.data() + at, &word, sizeof word);
    }
    return value;
}

int connect_to(const char* path) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        throw std::runtime_error(std::string(path) + ": cannot connect");
    return fd;
}

/// What the requests are, and what came of them.
class work {
  public:
    struct request {
        std::uint64_t key = 0;
        bool set = false;
    };

    work(const keys::protocol& speech, std::uint64_t keys) : speech_(speech), keys_(keys) {}

    void fill() noexcept { filling_ = true; }
    void run(double seconds, unsigned set_percent, std::uint64_t seed) noexcept {
        set_percent_ = set_percent;
        state_ = seed;
        end_ = clock_type::now() + std::chrono::duration_cast<clock_type::duration>(
                                       std::chrono::duration<double>(seconds));
    }

    [[nodiscard]] bool more() const noexcept {
        return filling_ ? next_ < keys_ : clock_type::now() < end_;
    }
    [[nodiscard]] request next() noexcept {
        if (filling_)
            return {next_++, true};
        state_ += 0x9e37'79b9'7f4a'7c15u;
        const std::uint64_t random = mix(state_);
        return {random % keys_, mix(random) % 100 < set_percent_};
    }
    void done(const request& r, const keys::reply& got, double microseconds) {
        latencies_.push_back(static_cast<float>(microseconds));
        const bool right = got.good && (r.set || got.value == value_of(r.key));
        missing_ += !got.good && !r.set ? 1u : 0u;
        wrong_ += right || (!got.good && !r.set) ? 0u : 1u;
    }
    [[nodiscard]] const keys::protocol& speech() const noexcept { return speech_; }
    void report(double seconds);

  private:
    double percentile(double share) {
        if (latencies_.empty())
            return 0;
        const auto at =
            static_cast<std::ptrdiff_t>(share * static_cast<double>(latencies_.size() - 1));
        std::nth_element(latencies_.begin(), latencies_.begin() + at, latencies_.end());
        return static_cast<double>(latencies_[static_cast<std::size_t>(at)]);
    }

    const keys::protocol& speech_;
    std::uint64_t keys_;
    bool filling_ = false;
    std::uint64_t next_ = 0;
    std::uint64_t state_ = 0;
    unsigned set_percent_ = 0;
    clock_type::time_point end_;
    std::vector<float> latencies_; ///< in us
    std::uint64_t wrong_ = 0;
    std::uint64_t missing_ = 0;
};

void work::report(double seconds) {
    const auto count = static_cast<double>(latencies_.size());
    const double p50 = percentile(0.5);
    const double p99 = percentile(0.99);
    std::printf("{\"operations\": %.0f, \"seconds\": %.3f, \"per_second\": %.1f, \"p50_us\": %.1f, "
                "\"p99_us\": %.1f, \"p999_us\": %.1f, \"wrong\": %llu, \"missing\": %llu}\n",
                count, seconds, count / seconds, p50, p99, percentile(0.999),
                static_cast<unsigned long long>(wrong_), static_cast<unsigned long long>(missing_));
}

/// One request at a time.
class connection {
  public:
    connection(const char* path, work& all) : all_(all), fd_(connect_to(path)) {}

    [[nodiscard]] int fd() const noexcept { return fd_; }
    [[nodiscard]] bool busy() const noexcept { return busy_; }

    void begin() {
        busy_ = all_.more();
        if (!busy_)
            return;
        now_ = all_.next();
        out_.clear();
        in_.clear();
        if (now_.set)
            all_.speech().set(out_, key_of(now_.key), value_of(now_.key));
        else
            all_.speech().get(out_, key_of(now_.key));
        began_ = clock_type::now();
        if (::send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL) !=
            static_cast<ssize_t>(out_.size()))
            throw std::runtime_error("the server takes no request");
    }

    void readable() {
        char text[16384];
        const ssize_t n = ::recv(fd_, text, sizeof text, 0);
        if (n <= 0)
            throw std::runtime_error("the server has closed a connection");
        in_.append(text, static_cast<std::size_t>(n));
        const keys::reply got =
            now_.set ? all_.speech().parse_set(in_) : all_.speech().parse_get(in_);
        if (got.length == 0)
            return;
        const std::chrono::duration<double, std::micro> took = clock_type::now() - began_;
        all_.done(now_, got, took.count());
        begin();
    }

  private:
    work& all_;
    int fd_;
    bool busy_ = false;
    work::request now_;
    std::string out_;
    std::string in_;
    clock_type::time_point began_;
};

void serve(std::vector<connection>& connections) {
    std::vector<pollfd> watched;
    for (connection& c : connections) {
        c.begin();
        watched.push_back({c.fd(), POLLIN, 0});
    }
    const auto busy = [](const connection& c) { return c.busy(); };
    while (std::any_of(connections.begin(), connections.end(), busy)) {
        if (::poll(watched.data(), watched.size(), -1) < 0)
            throw std::runtime_error("poll fails");
        for (std::size_t i = 0; i < watched.size(); ++i)
            if (watched[i].revents != 0)
                connections[i].readable();
    }
}

int run(int count, char** arguments) {
    const std::string_view phase = count > 3 ? arguments[3] : "";
    if (!(phase == "fill" && count == 6) && !(phase == "run" && count == 9))
        throw std::runtime_error("PROTOCOL SOCKET fill KEYS CONNECTIONS, or PROTOCOL SOCKET run "
                                 "KEYS CONNECTIONS SECONDS SET_PERCENT SEED");
    const auto speech = keys::make_protocol(arguments[1]);
    if (speech == nullptr)
        throw std::runtime_error("PROTOCOL: allowed: redis, memcached");
    work all(*speech, std::strtoull(arguments[4], nullptr, 10));
    std::vector<connection> connections;
    for (int i = std::atoi(arguments[5]); i > 0; --i)
        connections.emplace_back(arguments[2], all);
    if (phase == "fill")
        all.fill();
    else
        all.run(std::atof(arguments[6]), static_cast<unsigned>(std::atoi(arguments[7])),
                std::strtoull(arguments[8], nullptr, 10));
    const auto begin = clock_type::now();
    serve(connections);
    all.report(std::chrono::duration<double>(clock_type::now() - begin).count());
    return 0;
}

} // namespace

int main(int count, char** arguments) {
    try {
        return run(count, arguments);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "compare-keys: %s\n", e.what());
        return 2;
    }
}
