// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Configuration, with the same names in C++, in JSON (parse_config) and in the C ABI. Byte sizes
/// are plain numbers here; JSON also takes strings like "256M" (K, M, G, T: powers of 1024). In
/// JSON durations are numbers of the member's unit or strings like "20us" (ns, us, ms, s). Zero in
/// a field documented as "0 = automatic" lets the library choose.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "uffdmm/export.hpp"
#include "uffdmm/policy.hpp"
#include "uffdmm/prefetcher.hpp"
#include "uffdmm/tier.hpp"
#include "uffdmm/types.hpp"

namespace uffdmm {

enum class codec : std::uint8_t { lz4, zstd };

/// Compressed RAM. Its memory counts in the limit.
struct ram_tier_config {
    std::string name = "ram";
    byte_count size = 0; ///< most memory it may take; 0 = half of the manager's limit
    codec compression = codec::lz4;
    int level = 1;                ///< zstd level 1..19; ignored by lz4
    unsigned reject_percent = 80; ///< a page compressing to more than this share of a page is
                                  ///< passed on to the next tier (1..100)
};

/// A file or block device, through libaio with O_DIRECT.
struct file_tier_config {
    std::string name = "file";
    std::string path;          ///< a directory (an unlinked file is made in it), a file name, or a
                               ///< block device (its contents are overwritten)
    byte_count size = 0;       ///< capacity; for a block device 0 = all of it
    bool shared = false;       ///< a named file on storage that other hosts mount too: pages in it
                               ///< can be handed over (lib/tier/shared/README.md). Never removed;
                               ///< `size` makes it, and may be 0 where it exists
    bool keep = false;         ///< named file: leave it behind on exit
    bool preallocate = true;   ///< reserve the blocks at start, so that a full disk shows then
    bool discard = true;       ///< punch or trim freed slots
    unsigned queue_depth = 64; ///< I/Os in flight per shard (1..1024)
};

/// A network block device: an export of an NBD server, through libnbd. The export belongs to the
/// manager as long as it lives; its contents are overwritten.
struct nbd_tier_config {
    std::string name = "nbd";
    std::string uri;           ///< nbd://HOST[:PORT]/[EXPORT], nbd+unix:///[EXPORT]?socket=PATH or
                               ///< nbd+vsock://CID[:PORT]/[EXPORT]; with TLS nbds://[USER@]HOST...,
                               ///< nbds+unix://[USER@]/... or nbds+vsock://[USER@]CID...
    byte_count size = 0;       ///< capacity; 0 = all of the export
    std::string shared_table;  ///< not empty: pages can be handed over to other hosts that use the
                               ///< export; this file, on storage that they mount too, says whose
                               ///< they are (lib/tier/shared/README.md). Never removed
    std::string tls_psk_file;  ///< pre-shared key of USER, with an nbds URI; empty = the server is
                               ///< verified by the system's certificates
    unsigned connections = 4;  ///< if the server shows all clients the same (1..16); else 1
    unsigned queue_depth = 16; ///< requests in flight per connection (1..128)
    bool discard = true;       ///< trim freed slots, where the server can
    bool durable = false; ///< a page is stored when it is on the server's stable storage (FUA),
                          ///< so that it survives a crash of the server
    std::chrono::milliseconds request_timeout{30'000}; ///< without an answer for so long, a
                                                       ///< connection is lost (100 ms to 10 min)
    std::chrono::milliseconds lost_after{300'000}; ///< a server that is away for so long is given
                                                   ///< up: reads fail, and then their pages are
                                                   ///< poisoned (100 ms to 7 days)
};

/// A tier written outside the library.
struct custom_tier_config {
    std::string name = "custom";
    tier_factory make;
};

/// Tried in this order when a page leaves memory. Same-filled pages never reach a tier.
using tier_config =
    std::variant<ram_tier_config, file_tier_config, nbd_tier_config, custom_tier_config>;

/// What a guest fault does when every tier is full or failed and the limit is reached.
enum class on_swap_full : std::uint8_t {
    exceed, ///< the guest does not notice: memory grows past the limit, counted and reported
    wait    ///< the faulting thread waits until a tier has room or the limit is raised
};

/// Which CPUs the threads run on.
enum class thread_placement : std::uint8_t {
    /// Wherever the kernel's scheduler puts them.
    scheduler,
    /// While few threads (up to 8) fault all the time, they, their shard's thread and the workers
    /// are bound to one CPU, unless that brings pages in clearly slower (by a tenth): trials of
    /// 160 ms, every 0.1 to 3.2 s, tell. It pays where waking a CPU or flushing its TLB is dear, as
    /// inside a virtual machine. A thread gets its own CPUs back when its faults end for 20 ms
    /// (with CPUs that come online later it has to be told), is only bound to one of them, and is
    /// left alone if somebody else changes them meanwhile. Threads and processes that a bound
    /// thread starts keep to that CPU: so the first thread of the process is never bound, nor one
    /// that faults now and then; do not ask for this if others that start threads fault all the
    /// time, or if on_event or a custom tier's functions start any. Only one shard at a time, while
    /// no other of its manager has faults.
    gather
};

/// Something the operator should know. Given to manager_config::on_event on a library thread;
/// the callback must not block and must not call back into the manager.
struct event {
    enum class kind : std::uint8_t { tier_degraded, tier_recovered, page_poisoned, over_limit };
    kind what = kind::tier_degraded;
    std::string_view tier;     ///< name, for tier events
    std::uint64_t address = 0; ///< guest page (host virtual address), for page_poisoned
    errc cause = errc::ok;
};
using event_handler = std::function<void(const event&)>;

/// Smallest limit.
inline constexpr byte_count least_limit = byte_count{4} << 20;

struct manager_config {
    byte_count limit = 0;           ///< host memory for everything: required, at least least_limit
    std::vector<tier_config> tiers; ///< empty = one ram_tier_config; at most 6
    unsigned workers = 1;           ///< threads for the compression that shard threads have no
                                    ///< time for (1..64)
    unsigned staged_percent = 0;    ///< share of the limit kept as staged pages (1..50); 0 = 3
                                    ///< where the first tier is compressed RAM, else 12
    unsigned low_watermark_permille = 15;  ///< free share of the limit at which reclaim starts
    unsigned high_watermark_permille = 30; ///< and at which it stops (low < high <= 250)
    std::chrono::microseconds spin{50};    ///< longest an idle shard thread spins before it sleeps
                                           ///< (at most 1 s); adapted down to 0 where spinning
                                           ///< does not pay
    std::chrono::milliseconds read_retry_time{2000}; ///< how long a failing tier read is retried
                                                     ///< before the page is poisoned (at most
                                                     ///< 10 min)
    on_swap_full when_full = on_swap_full::exceed;
    thread_placement placement = thread_placement::scheduler;
    event_handler on_event; ///< C++ only
};

enum class backing : std::uint8_t {
    private_anonymous, ///< evicted by UFFDIO_MOVE; refuses pages pinned by the kernel
    shared_memory      ///< memfd / shmem
};

/// Whether a region may have huge pages (2 MiB).
enum class huge_page_use : std::uint8_t {
    automatic, ///< memory is installed 2 MiB at a time while the limit would hold the whole region
    off        ///< only single pages
};

/// A region: size, and at most one of: nothing (library-allocated), address, fd with address.
struct region_config {
    std::string name = "ram";
    byte_count size = 0; ///< bytes, a multiple of 4096: required
    backing kind = backing::private_anonymous;
    void* address = nullptr;  ///< embedder's mapping, page-aligned, not touched by threads of the
                              ///< process until add_region returns; nullptr = allocate
    int fd = -1;              ///< shared_memory with address: the memfd behind the mapping
    byte_count fd_offset = 0; ///< offset of the mapping in fd
    unsigned shards = 1;      ///< threads serving the region (1..64)
    std::string policy = "s3fifo";     ///< fifo, second_chance, s3fifo
    std::string prefetch = "adaptive"; ///< off, sequential, stride, adaptive (both)
    page_count prefetch_window = 256;  ///< largest window in pages (1..512)
    bool remove_events = true; ///< madvise(DONTNEED/REMOVE/FREE) by the embedder is a discard, from
                               ///< Linux 6.8 on; before, swapped pages keep their contents. Always
                               ///< false for shared_memory, where MADV_DONTNEED keeps all of them.
                               ///< There, and before 6.8, call region::discard. If you always do,
                               ///< say false: then what a thread has read in passing leaves many
                               ///< pages at a time, twice as fast where it reads every n-th page
    huge_page_use huge_pages = huge_page_use::automatic; ///< private memory, from Linux 6.8 on
    policy_factory make_policy;                          ///< C++ only; overrides `policy`
    prefetcher_factory make_prefetcher;                  ///< C++ only; overrides `prefetch`
};

/// What parse_config reads: one manager and its regions.
struct config {
    manager_config manager;
    std::vector<region_config> regions;
};

/// Parses JSON text: {"limit": "256M", "tiers": [{"kind": "ram", "size": "64M"}, {"kind": "file",
/// "path": "/var/tmp"}], "regions": [{"size": "1G"}]}. Throws setup_error naming the key and what
/// is allowed. `source` names the text in messages.
[[nodiscard]] UFFDMM_CXX_API config parse_config(std::string_view json,
                                                 std::string_view source = "config");
[[nodiscard]] UFFDMM_CXX_API config load_config(const std::string& path);
/// JSON that parse_config reads back to the same configuration. Throws setup_error naming what has
/// no form in JSON: custom tiers, factories, memory of the embedder.
[[nodiscard]] UFFDMM_CXX_API std::string to_json(const config& config);

/// "256M" → bytes. Throws setup_error naming `key`.
[[nodiscard]] UFFDMM_CXX_API byte_count parse_size(std::string_view text, std::string_view key);

/// Throw setup_error naming the key where a value or combination is not allowed.
UFFDMM_CXX_API void validate(const manager_config& config);
UFFDMM_CXX_API void validate(const region_config& config);

} // namespace uffdmm
