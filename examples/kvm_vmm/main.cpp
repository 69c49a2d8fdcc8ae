// SPDX-License-Identifier: BSD-3-Clause
/// A virtual machine monitor in one file, with more guest RAM than host memory.
///
/// It shows all that a VMM does to use the library: make a manager and a region, and give the
/// region's memory to KVM. The guest (guest.S) fills its memory, shuffles its pages and checks
/// them, while the host changes the limit and evicts pages under it. Its faults come from inside
/// KVM_RUN, in kernel mode, so the process must be allowed to open a userfaultfd that serves these.
///
///     main thread ── set_limit, evict ─────────► manager
///     vCPU threads ── KVM_RUN ─► guest access ─► fault ─► shard thread of the library
///
/// Exit status: 0 the guest found every page right, 1 it did not or something failed, 2 bad usage,
/// 77 no /dev/kvm that runs guests.

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "uffdmm/manager.hpp"

extern "C" {
extern const std::byte kvm_guest_begin[]; // guest.S
extern const std::byte kvm_guest_end[];
}

namespace {

using namespace uffdmm;
using namespace std::chrono_literals;

constexpr int skipped = 77;
constexpr byte_count page = 4096;
constexpr byte_count mib = byte_count{1} << 20;

// Guest-physical addresses below the slices that the vCPUs work on.
constexpr std::uint32_t orders_at = 0x1000;  ///< guest_orders of each vCPU
constexpr std::uint32_t barrier_at = 0x2000; ///< where the vCPUs wait for each other
constexpr std::uint32_t code_at = 0x3000;
constexpr std::uint32_t stacks_at = 0x4000; ///< a page for each vCPU
constexpr unsigned most_vcpus = 32;
constexpr byte_count slices_at = 0x40000;

/// What guest.S is told, and where it keeps its counters.
struct guest_orders {
    std::uint32_t first, pages, swaps;
    std::uint32_t check_first, check_pages;
    std::uint32_t barrier, cpus;
    std::uint32_t random, told, step;
    std::array<std::uint32_t, 6> unused; ///< to 64 bytes: a cache line for each
};
static_assert(sizeof(guest_orders) == 64);

enum port : std::uint16_t { progress = 0xe0, phase = 0xe1, corrupt = 0xe2, missing = 0xe3 };

struct options {
    byte_count ram = 256 * mib;
    byte_count limit = 64 * mib;
    unsigned vcpus = 2;
    unsigned rounds = 1;           ///< how often each page is moved, on average
    std::uint32_t step = 64;       ///< bytes from one word that the guest writes to the next
    bool damage = false;           ///< overwrite a word of the guest's, which it has to notice
    std::string swap = "/var/tmp"; ///< directory or block device for pages that do not compress
};

/// An ioctl that must work.
template <class... Argument>
int control(int fd, unsigned long request, const char* name, Argument... argument) {
    const int value = ::ioctl(fd, request, argument...);
    if (value < 0)
        throw std::system_error(errno, std::generic_category(), name);
    return value;
}

class descriptor {
  public:
    explicit descriptor(int fd) : fd_(fd) {}
    ~descriptor() { ::close(fd_); }
    descriptor(const descriptor&) = delete;
    descriptor& operator=(const descriptor&) = delete;
    [[nodiscard]] int get() const { return fd_; }

  private:
    int fd_;
};

/// A virtual machine whose memory is one region of the library's.
class machine {
  public:
    machine(int kvm, region& ram)
        : vm_(control(kvm, KVM_CREATE_VM, "KVM_CREATE_VM", 0)), ram_(ram),
          run_bytes_(static_cast<std::size_t>(
              control(kvm, KVM_GET_VCPU_MMAP_SIZE, "KVM_GET_VCPU_MMAP_SIZE", 0))) {
        // Where Intel's processors want pages of their own: just below 4 GiB, outside of the RAM.
        control(vm_.get(), KVM_SET_TSS_ADDR, "KVM_SET_TSS_ADDR", 0xfffbd000UL);
        // This is all that a VMM has to do: to KVM the region is ordinary memory.
        kvm_userspace_memory_region slot{};
        slot.memory_size = ram.size();
        slot.userspace_addr = reinterpret_cast<std::uintptr_t>(ram.data());
        control(vm_.get(), KVM_SET_USER_MEMORY_REGION, "KVM_SET_USER_MEMORY_REGION", &slot);
    }

    [[nodiscard]] int fd() const { return vm_.get(); }
    [[nodiscard]] std::size_t run_bytes() const { return run_bytes_; }
    [[nodiscard]] std::byte* at(std::uint32_t guest_address) const {
        return ram_.data() + guest_address;
    }

  private:
    descriptor vm_;
    region& ram_;
    std::size_t run_bytes_;
};

/// What the vCPUs say, for the main thread to show.
struct guest_news {
    std::atomic<std::uint64_t> pages{0};
    std::atomic<unsigned> filled{0}, shuffled{0}, checked{0};
    std::atomic<std::uint64_t> corrupt{0}; ///< pages, and slices that lack some
    std::atomic<unsigned> running{0};
    std::atomic<unsigned> failed{0}; ///< vCPUs that KVM could not run to their end
};

class vcpu {
  public:
    vcpu(const machine& vm, unsigned number)
        : fd_(control(vm.fd(), KVM_CREATE_VCPU, "KVM_CREATE_VCPU", number)), number_(number),
          run_bytes_(vm.run_bytes()) {
        void* shared =
            ::mmap(nullptr, run_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
        if (shared == MAP_FAILED)
            throw std::system_error(errno, std::generic_category(), "mmap of a vCPU");
        run_ = static_cast<kvm_run*>(shared);
        enter_protected_mode();
    }
    ~vcpu() { ::munmap(run_, run_bytes_); }
    vcpu(const vcpu&) = delete;
    vcpu& operator=(const vcpu&) = delete;

    /// Runs the guest until it halts. For a thread of its own.
    void run(guest_news& news) {
        while (step(news)) {
        }
        --news.running;
    }

  private:
    void enter_protected_mode() {
        kvm_sregs special{};
        control(fd_.get(), KVM_GET_SREGS, "KVM_GET_SREGS", &special);
        kvm_segment flat{};
        flat.limit = 0xffffffff;
        flat.present = flat.db = flat.s = flat.g = 1;
        flat.selector = 0x10;
        flat.type = 3; // data, writable, accessed
        special.ds = special.es = special.fs = special.gs = special.ss = flat;
        flat.selector = 0x08;
        flat.type = 11; // code, readable, accessed
        special.cs = flat;
        special.cr0 |= 1; // protection; paging stays off
        control(fd_.get(), KVM_SET_SREGS, "KVM_SET_SREGS", &special);

        kvm_regs registers{};
        registers.rip = code_at;
        registers.rflags = 2;
        registers.rbx = orders_at + number_ * sizeof(guest_orders);
        registers.rsp = stacks_at + (number_ + 1) * page;
        control(fd_.get(), KVM_SET_REGS, "KVM_SET_REGS", &registers);
    }

    /// One exit from the guest; whether it goes on.
    bool step(guest_news& news) {
        if (::ioctl(fd_.get(), KVM_RUN, 0) != 0)
            return errno == EINTR || errno == EAGAIN || give_up(news, std::strerror(errno));
        switch (run_->exit_reason) {
        case KVM_EXIT_IO:
            hear(news);
            return true;
        case KVM_EXIT_HLT:
            return false;
        default:
            return give_up(news, ("exit reason " + std::to_string(run_->exit_reason)).c_str());
        }
    }
    bool give_up(guest_news& news, const char* why) {
        ++news.failed;
        std::fprintf(stderr, "kvm_vmm: vCPU %u stopped: %s\n", number_, why);
        return false;
    }

    void hear(guest_news& news) {
        std::uint32_t value = 0;
        std::memcpy(&value, reinterpret_cast<const std::byte*>(run_) + run_->io.data_offset,
                    sizeof value);
        switch (run_->io.port) {
        case port::progress:
            news.pages += value;
            break;
        case port::phase:
            ++(value == 1 ? news.filled : value == 2 ? news.shuffled : news.checked);
            break;
        case port::corrupt:
        case port::missing:
            ++news.corrupt;
            std::fprintf(stderr, "kvm_vmm: %s 0x%x\n",
                         run_->io.port == port::corrupt ? "wrong contents in page"
                                                        : "pages missing in the slice at",
                         value);
            break;
        }
    }

    descriptor fd_;
    unsigned number_;
    std::size_t run_bytes_;
    kvm_run* run_ = nullptr;
};

/// Writes program and orders into guest memory: the VMM's own accesses fault like the guest's.
void load_guest(const machine& vm, const options& wanted) {
    std::memcpy(vm.at(code_at), kvm_guest_begin,
                static_cast<std::size_t>(kvm_guest_end - kvm_guest_begin));
    const auto slice = static_cast<std::uint32_t>((wanted.ram - slices_at) / page / wanted.vcpus);
    const auto start = [&](unsigned cpu) {
        return static_cast<std::uint32_t>(slices_at + byte_count{cpu} * slice * page);
    };
    for (unsigned cpu = 0; cpu < wanted.vcpus; ++cpu) {
        const guest_orders orders{.first = start(cpu),
                                  .pages = slice,
                                  .swaps = slice / 2 * wanted.rounds,
                                  .check_first = start((cpu + 1) % wanted.vcpus),
                                  .check_pages = slice,
                                  .barrier = barrier_at,
                                  .cpus = wanted.vcpus,
                                  .random = 12345 + cpu,
                                  .told = 0,
                                  .step = wanted.step,
                                  .unused = {}};
        std::memcpy(vm.at(orders_at + cpu * std::uint32_t{sizeof orders}), &orders, sizeof orders);
    }
}

void show(const manager& memory, const guest_news& news) {
    const stats now = memory.statistics();
    std::printf("%8llu pages, filled %u, shuffled %u, checked %u  |  host memory %llu of %llu MiB, "
                "%llu faults, %llu pages evicted\n",
                static_cast<unsigned long long>(news.pages.load()), news.filled.load(),
                news.shuffled.load(), news.checked.load(),
                static_cast<unsigned long long>(now.host_memory_bytes / mib),
                static_cast<unsigned long long>(now.limit_bytes / mib),
                static_cast<unsigned long long>(now.faults),
                static_cast<unsigned long long>(now.evicted_pages));
    std::fflush(stdout);
}

/// What a host does to its guests: takes memory away, gives it back, and evicts at random.
void disturb(manager& memory, region& ram, const options& wanted, const guest_news& news) {
    unsigned turn = 0;
    auto next_line = std::chrono::steady_clock::now();
    bool damaged = !wanted.damage;
    while (news.running != 0) {
        std::this_thread::sleep_for(50ms);
        if (!damaged && news.filled == wanted.vcpus) {
            ram.data()[slices_at + 7 * page] ^= std::byte{1};
            damaged = true;
        }
        const byte_count limit = turn % 4 < 2 ? wanted.limit : wanted.limit * 3 / 4;
        // Only what the metadata and pinned pages need can refuse it; then it stays as it is.
        (void)memory.set_limit(std::max(limit, least_limit));
        const byte_count part = ram.size() / 64 / page * page;
        (void)ram.evict(turn * 13 % 64 * part, part);
        ++turn;
        if (std::chrono::steady_clock::now() < next_line)
            continue;
        show(memory, news);
        next_line += 1s;
    }
    show(memory, news);
}

int run(int kvm, const options& wanted) {
    manager memory({.limit = wanted.limit,
                    .tiers = {ram_tier_config{.size = wanted.limit / 4},
                              file_tier_config{.path = wanted.swap, .size = wanted.ram}}});
    region& ram = memory.add_region({.name = "guest RAM", .size = wanted.ram});
    guest_news news;
    {
        const machine vm(kvm, ram);
        load_guest(vm, wanted);
        std::vector<std::unique_ptr<vcpu>> vcpus;
        for (unsigned cpu = 0; cpu < wanted.vcpus; ++cpu)
            vcpus.push_back(std::make_unique<vcpu>(vm, cpu));
        news.running = wanted.vcpus;
        std::vector<std::thread> threads;
        for (const auto& cpu : vcpus)
            threads.emplace_back([&news, &cpu] { cpu->run(news); });
        disturb(memory, ram, wanted, news);
        for (std::thread& thread : threads)
            thread.join();
    }
    const stats total = memory.statistics();
    const bool right = news.corrupt == 0 && news.failed == 0 && news.checked == wanted.vcpus;
    std::printf("guest RAM %llu MiB on %u vCPUs, %llu MiB of host memory at most: %s\n",
                static_cast<unsigned long long>(wanted.ram / mib), wanted.vcpus,
                static_cast<unsigned long long>(total.peak_host_memory_bytes / mib),
                right ? "every page was right" : "FAILED");
    return right ? 0 : 1;
}

constexpr const char* usage =
    "usage: kvm_vmm [--ram SIZE] [--limit SIZE] [--vcpus N] [--rounds N]\n"
    "  --ram SIZE    guest RAM, 1M..3G (256M)\n"
    "  --limit SIZE  host memory for it, 4M or more (64M)\n"
    "  --vcpus N     1..32 (2)\n"
    "  --rounds N    how often the guest moves each page, 0..1000 (1)\n"
    "  --step BYTES  from one word that it writes to the next, 4..2048, a power of two (64)\n"
    "  --damage yes  the VMM overwrites a word of the guest's, which has to notice (no)\n"
    "  --swap PATH   directory for the swap file, or a block device (/var/tmp)\n";

byte_count number(std::string_view text, std::string_view key, byte_count least, byte_count most) {
    const byte_count value = parse_size(text, key);
    if (value < least || value > most) {
        std::string message(key);
        message.append(": \"").append(text).append("\" is out of range; allowed: ");
        message.append(std::to_string(least)).append(" to ").append(std::to_string(most));
        throw setup_error(errc::invalid_argument, message);
    }
    return value;
}

options parse(int count, char** words) {
    options wanted;
    for (int i = 1; i < count; i += 2) {
        const std::string_view key = words[i];
        const std::string_view value = i + 1 < count ? words[i + 1] : "";
        if (key == "--ram")
            wanted.ram = number(value, key, mib, 3072 * mib) / page * page;
        else if (key == "--limit")
            wanted.limit = number(value, key, least_limit, 1024 * 1024 * mib);
        else if (key == "--vcpus")
            wanted.vcpus = static_cast<unsigned>(number(value, key, 1, most_vcpus));
        else if (key == "--rounds")
            wanted.rounds = static_cast<unsigned>(number(value, key, 0, 1000));
        else if (key == "--step")
            wanted.step = std::bit_floor(static_cast<std::uint32_t>(number(value, key, 4, 2048)));
        else if (key == "--damage" && (value == "yes" || value == "no"))
            wanted.damage = value == "yes";
        else if (key == "--swap" && !value.empty())
            wanted.swap = value;
        else
            throw setup_error(
                errc::invalid_argument,
                std::string(key).append(": unknown option").append("\n").append(usage));
    }
    return wanted;
}

} // namespace

int main(int count, char** words) {
    if (count == 2 && std::string_view(words[1]) == "--help") {
        std::fputs(usage, stdout);
        return 0;
    }
    options wanted;
    try {
        wanted = parse(count, words);
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "kvm_vmm: %s\n", problem.what());
        return 2;
    }
    const int kvm = ::open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm < 0) {
        std::printf("kvm_vmm: skipped: cannot open /dev/kvm: %s\n", std::strerror(errno));
        return skipped;
    }
    const descriptor keep(kvm);
    try {
        return run(kvm, wanted);
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "kvm_vmm: %s\n", problem.what());
        return 1;
    }
}
