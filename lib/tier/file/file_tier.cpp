// SPDX-License-Identifier: BSD-3-Clause
#include "tier/file/file_tier.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "tier/checksum.hpp"
#include "tier/file/trim_job.hpp"
#include "uffdmm/check.hpp"
#include "uffdmm/result.hpp"

namespace uffdmm {
namespace {

constexpr std::uint32_t batch = slot_allocator::longest_run;
/// After so many reads one waiting write starts: writes free the memory that reads need.
constexpr unsigned most_reads_in_a_row = 8;
/// An I/O that ends this often without a page of progress has failed.
constexpr unsigned most_stalls = 8;
/// 256 MiB of groups to trim: done even while there is I/O.
constexpr std::uint32_t urgent_trim = 1024;
constexpr std::uint64_t all_pages = UINT64_MAX;

const std::byte* buffer_of(const store_request& request) {
    return request.contents;
}
std::byte* buffer_of(const load_request& request) {
    return request.destination;
}

tier_traits traits_of(std::string name, tier_latency latency, bool shared) {
    tier_traits traits;
    traits.name = std::move(name);
    traits.latency = latency;
    traits.synchronous_load = false;
    traits.shared = shared;
    return traits;
}

tier_status status_of_failed_write(std::int64_t os_errno) {
    if (os_errno == EBUSY) // these slots may not be written to for a while; others may
        return tier_status::busy;
    return os_errno == ENOSPC || os_errno == EDQUOT ? tier_status::full : tier_status::failed;
}

} // namespace

file_tier::file_tier(std::string name, parts p)
    : swap_tier(traits_of(std::move(name), p.latency, p.sharing != nullptr)),
      store_(std::move(p.store)), pool_(store_->extents()), naming_(pool_.naming()),
      slots_(pool_, store_->discards()),
      sharing_(p.sharing == nullptr ? nullptr
                                    : std::make_unique<slot_sharing>(std::move(p.sharing), slots_)),
      queue_(std::move(p.queue)), ops_(p.depth), unsubmitted_(p.depth), reaped_(p.depth) {
    trim_listener& listener = *this;
    if (p.make_trimmer)
        trim_ = p.make_trimmer(*queue_, listener);
    else
        trim_ = std::make_unique<worker_trimmer>(*store_, p.workers, p.home, listener);
}

file_tier::~file_tier() {
    while (in_flight_ != 0) {
        in_flight_ -= queue_->reap(reaped_);
        if (in_flight_ != 0)
            queue_->wait();
    }
    trim_.reset();
    slots_.end_trim();
    for (slot_run run = slots_.take_apart(); run.count != 0; run = slots_.take_apart())
        store_->discard(run);
}

// ---- requests come in ---------------------------------------------------------------------------

void file_tier::do_store(std::span<store_request* const> requests, tier_client& client) noexcept {
    if (!queue_->reachable()) {
        refuse_all(requests, tier_status::failed);
        deliver(client);
        return;
    }
    if (sharing_ != nullptr && !sharing_->admit(requests.size())) {
        refuse_all(requests, tier_status::busy);
        deliver(client);
        return;
    }
    for (auto rest = requests; !rest.empty();) {
        const std::size_t n = std::min<std::size_t>(rest.size(), batch);
        store_run(rest.first(n));
        rest = rest.subspan(n);
    }
    start();
    // While the device works: no request ends, and no slot is read, before deliver().
    for (store_request* request : requests)
        if (request->slot != no_slot)
            remember_checksum(*request);
    deliver(client);
}

void file_tier::refuse_all(std::span<store_request* const> requests, tier_status why) noexcept {
    for (store_request* request : requests) {
        request->slot = no_slot;
        request->status = why;
        done_stores_.push(*request);
    }
}

void file_tier::remember_checksum(store_request& request) noexcept {
    const std::uint32_t generation = naming_.generation_of(request.slot);
    const std::uint32_t checksum = checksum_of(request.contents, request.slot);
    pool_.set_slot_record(number_of(request.slot), naming_.record(generation, checksum));
    request.slot = naming_.with_checksum(request.slot, checksum);
}

std::uint32_t file_tier::checksum_of(const std::byte* contents, slot_id name) const noexcept {
    return checksum({contents, page_size},
                    pool_.seed(number_of(name), naming_.generation_of(name)));
}

slot_run file_tier::allocate(std::uint32_t wanted) noexcept {
    return sharing_ == nullptr ? slots_.allocate(wanted) : sharing_->allocate(wanted);
}

/// At most 64 requests: in as few runs of slots as there are.
void file_tier::store_run(std::span<store_request* const> requests) noexcept {
    for (std::size_t at = 0; at < requests.size();) {
        const slot_run run = allocate(static_cast<std::uint32_t>(requests.size() - at));
        if (run.count == 0) {
            for (; at < requests.size(); ++at) {
                requests[at]->slot = no_slot;
                end_store(*requests[at], tier_status::full);
            }
            return;
        }
        for (std::uint32_t slot = run.first; slot < run.first + run.count; ++slot, ++at) {
            requests[at]->slot = name_now(slot);
            waiting_stores_.push(*requests[at]);
        }
    }
}

void file_tier::do_load(std::span<load_request* const> requests, tier_client& client) noexcept {
    while (!requests.empty()) {
        const std::size_t n = std::min<std::size_t>(requests.size(), batch);
        std::array<load_request*, batch> sorted{};
        std::ranges::copy(requests.first(n), sorted.begin());
        const auto end = sorted.begin() + static_cast<std::ptrdiff_t>(n);
        // Readahead downwards or with a stride meets slots that are consecutive all the same.
        std::sort(sorted.begin(), end, [this](const load_request* a, const load_request* b) {
            return number_of(a->slot) < number_of(b->slot);
        });
        // The first request is the one most likely waited for: its run goes first.
        auto first = std::find(sorted.begin(), end, requests.front());
        while (first != sorted.begin() &&
               number_of((*first)->slot) == number_of((*std::prev(first))->slot) + 1)
            --first;
        std::rotate(sorted.begin(), first, end);
        std::for_each(sorted.begin(), end, [this](load_request* request) { enqueue(*request); });
        requests = requests.subspan(n);
    }
    start();
    deliver(client);
}

void file_tier::enqueue(load_request& request) noexcept {
    const std::uint32_t slot = number_of(request.slot);
    if (holds(slot) && fits(request.slot)) {
        waiting_loads_.push(request);
        return;
    }
    request.status = tier_status::corrupt;
    done_loads_.push(request);
}

void file_tier::do_release(slot_id slot) noexcept {
    const std::uint32_t number = number_of(slot);
    UFFDMM_CHECK(holds(number) && fits(slot),
                 "a slot is freed once, by the name it was given out with");
    if (sharing_ != nullptr) {
        sharing_->release(number);
        return;
    }
    slots_.free(number);
    trim();
}

file_tier::run_op& file_tier::take_op() noexcept {
    if (free_ops_ == nullptr)
        return ops_[ops_.add()];
    run_op& op = *free_ops_;
    free_ops_ = op.next_free;
    return op;
}

// ---- I/O starts ---------------------------------------------------------------------------------

void file_tier::start() noexcept {
    do {
        while (has_free_op() && has_waiting())
            start_next();
        submit();
    } while (has_free_op() && has_waiting()); // submit() failed some I/O and freed its op
}

bool file_tier::has_waiting() const noexcept {
    return !waiting_loads_.empty() || !waiting_stores_.empty() || !suspect_loads_.empty();
}

void file_tier::start_next() noexcept {
    if (!suspect_loads_.empty())
        start_run(suspect_loads_, &run_op::loads, 1);
    else if (reads_go_first())
        start_run(waiting_loads_, &run_op::loads, batch);
    else
        start_run(waiting_stores_, &run_op::stores, batch);
}

bool file_tier::reads_go_first() noexcept {
    if (waiting_loads_.empty() || waiting_stores_.empty()) {
        reads_in_a_row_ = 0;
        return !waiting_loads_.empty();
    }
    if (++reads_in_a_row_ <= most_reads_in_a_row)
        return true;
    reads_in_a_row_ = 0;
    return false;
}

/// Takes the first waiting requests whose slots are consecutive.
template <typename Request>
void file_tier::start_run(request_list<Request>& waiting, request_list<Request> run_op::*requests,
                          std::uint32_t most) noexcept {
    run_op& op = take_op();
    op.stalls = 0;
    std::uint32_t next = number_of(waiting.front()->slot);
    for (std::uint32_t n = 0; n < most && !waiting.empty(); ++n, ++next) {
        if (number_of(waiting.front()->slot) != next)
            break;
        (op.*requests).push(waiting.pop());
    }
    op.write = std::is_same_v<Request, store_request>;
    aim(op, op.*requests);
    unsubmitted_[ready_++] = &op;
}

/// Makes the op an I/O on all its requests. Buffers side by side become one vector.
template <typename Request>
void file_tier::aim(run_op& op, const request_list<Request>& requests) noexcept {
    op.offset = store_->offset_of(number_of(requests.front()->slot));
    std::size_t n = 0;
    for (const Request* r = requests.front(); r != nullptr; r = request_list<Request>::next(*r)) {
        auto* buffer = const_cast<std::byte*>(static_cast<const std::byte*>(buffer_of(*r)));
        iovec* const last = n == 0 ? nullptr : &op.buffers[n - 1];
        if (last != nullptr && static_cast<std::byte*>(last->iov_base) + last->iov_len == buffer)
            last->iov_len += page_size;
        else
            op.buffers[n++] = {buffer, page_size};
    }
    op.vectors = std::span(op.buffers).first(n);
}

void file_tier::submit() noexcept {
    std::size_t at = 0;
    while (at < ready_) {
        const int n = queue_->submit({unsubmitted_.data() + at, ready_ - at});
        if (n > 0) {
            at += static_cast<std::size_t>(n);
            in_flight_ += static_cast<std::size_t>(n);
            continue;
        }
        if (n == 0 || n == -EAGAIN || n == -EINTR)
            break;
        fail(static_cast<run_op&>(*unsubmitted_[at++]), -n);
    }
    std::copy(unsubmitted_.begin() + static_cast<std::ptrdiff_t>(at),
              unsubmitted_.begin() + static_cast<std::ptrdiff_t>(ready_), unsubmitted_.begin());
    ready_ -= at;
    // What is left is tried again after the next completion; without one, nobody would call poll().
    if (ready_ != 0 && in_flight_ == 0)
        queue_->arm();
}

// ---- I/O ends -----------------------------------------------------------------------------------

void file_tier::do_poll(tier_client& client) noexcept {
    const std::size_t n = queue_->reap(reaped_);
    in_flight_ -= n;
    for (std::size_t i = 0; i < n; ++i)
        ended(static_cast<run_op&>(*reaped_[i]));
    if (ready_ != 0 || n != 0)
        start();
    if (sharing_ != nullptr && sharing_->poll())
        queue_->arm(); // to be called again
    deliver(client);
    trim();
}

void file_tier::ended(run_op& op) noexcept {
    const std::int64_t result = op.result;
    if (result < 0 && result != -EAGAIN && result != -EINTR) {
        fail(op, -result);
        return;
    }
    // A page that was done in part is done again.
    const std::uint64_t pages = result < 0 ? 0 : static_cast<std::uint64_t>(result) / page_size;
    if (pages == 0 && ++op.stalls > most_stalls) {
        fail(op, EIO);
        return;
    }
    if (pages != 0)
        op.stalls = 0;
    finish(op, pages, tier_status::ok);
    if (!op.stores.empty() || !op.loads.empty())
        again(op);
}

void file_tier::again(run_op& op) noexcept {
    if (op.write)
        aim(op, op.stores);
    else
        aim(op, op.loads);
    unsubmitted_[ready_++] = &op;
}

void file_tier::fail(run_op& op, std::int64_t os_errno) noexcept {
    const bool alone = op.write || request_list<load_request>::next(*op.loads.front()) == nullptr;
    while (!alone && !op.loads.empty())
        suspect_loads_.push(op.loads.pop());
    finish(op, all_pages, op.write ? status_of_failed_write(os_errno) : tier_status::failed);
}

/// Ends the first `pages` requests of the op, and the op if these were all.
void file_tier::finish(run_op& op, std::uint64_t pages, tier_status status) noexcept {
    for (; pages != 0 && !op.stores.empty(); --pages)
        finish(op.stores.pop(), status);
    for (; pages != 0 && !op.loads.empty(); --pages)
        finish(op.loads.pop(), status);
    if (!op.stores.empty() || !op.loads.empty())
        return;
    op.next_free = free_ops_;
    free_ops_ = &op;
}

void file_tier::finish(store_request& request, tier_status status) noexcept {
    if (status != tier_status::ok) {
        slots_.free(number_of(request.slot));
        request.slot = no_slot;
    }
    end_store(request, status);
}

void file_tier::end_store(store_request& request, tier_status status) noexcept {
    request.status = status;
    done_stores_.push(request);
    if (sharing_ != nullptr)
        sharing_->store_ended();
}

void file_tier::finish(load_request& request, tier_status status) noexcept {
    if (status == tier_status::ok &&
        naming_.checksum(pool_.slot_record(number_of(request.slot)), request.slot) !=
            checksum_of(request.destination, request.slot))
        status = tier_status::corrupt;
    request.status = status;
    done_loads_.push(request);
}

/// Tells the client last, when everything here is consistent: it may call back at once. What ends
/// within such a call is delivered by the outermost one.
void file_tier::deliver(tier_client& client) noexcept {
    if (delivering_)
        return;
    delivering_ = true;
    while (!done_loads_.empty() || !done_stores_.empty()) {
        if (!done_loads_.empty())
            client.load_done(done_loads_.pop());
        else
            client.store_done(done_stores_.pop());
    }
    delivering_ = false;
}

// ---- freed slots --------------------------------------------------------------------------------

/// One run of slots at a time, while there is no other I/O: it would wait for a hole being punched.
void file_tier::trim() noexcept {
    if (!slots_.wants_trim() || trim_->busy() || (in_flight_ != 0 && !trim_is_urgent()))
        return;
    if (!store_->discards()) {
        slots_.forget_stale();
        return;
    }
    if (const slot_run run = slots_.begin_trim(); run.count != 0)
        trim_->start(run);
}

/// The backlog is big, or another shard may want the extents that wait for it.
bool file_tier::trim_is_urgent() const noexcept {
    return slots_.trimmable() >= urgent_trim || pool_.free_extents() == 0;
}

void file_tier::trim_ended() noexcept {
    slots_.end_trim();
    trim();
}

// ---- slots that other hosts know ----------------------------------------------------------------

shared_store* file_tier::do_shared() const noexcept {
    return sharing_ == nullptr ? nullptr : &sharing_->volume();
}

store_id file_tier::do_identity() const noexcept {
    return sharing_ == nullptr ? store_id{} : sharing_->volume().id();
}

result<location> file_tier::do_locate(slot_id slot) noexcept {
    if (sharing_ == nullptr)
        return swap_tier::do_locate(slot);
    const std::uint32_t number = number_of(slot);
    if (!holds(number) || !fits(slot))
        return error{errc::not_found, 0, "locate: no such slot"};
    return sharing_->locate(number, naming_.generation_of(slot),
                            naming_.checksum(pool_.slot_record(number), slot));
}

void file_tier::do_end_leases() noexcept {
    if (sharing_ == nullptr)
        return;
    sharing_->end_leases();
    queue_->arm();
}

result<slot_id> file_tier::do_adopt(const location& place, std::uint64_t owner) noexcept {
    if (sharing_ == nullptr)
        return swap_tier::do_adopt(place, owner);
    const auto adopted = sharing_->adopt(place);
    if (!adopted)
        return adopted.failure();
    const auto [number, generation] = adopted.value();
    pool_.set_slot_record(number, naming_.record(generation, place.checksum));
    return naming_.with_checksum(naming_.name(number, generation), place.checksum);
}

tier_usage file_tier::do_usage() const noexcept {
    // What no shard holds is shared out evenly, so that the shards' figures add up.
    const std::uint32_t owners = pool_.owners();
    const slot_sharing::amounts shared_use =
        sharing_ == nullptr ? slot_sharing::amounts{} : sharing_->use();
    tier_usage usage;
    const std::uint64_t in_use = slots_.used() + shared_use.adopted;
    usage.pages = in_use - std::min(in_use, shared_use.kept);
    usage.stored_bytes = usage.pages * page_size;
    usage.occupied_bytes = in_use * page_size;
    usage.memory_bytes = pool_.record_bytes() / owners + ops_.memory_bytes() +
                         2 * reaped_.size() * sizeof(io_op*) + queue_->memory_bytes();
    const std::uint64_t unheld =
        (std::uint64_t{pool_.free_extents()} + shared_use.left) * pool_.slots_per_extent();
    const std::uint64_t most = std::min<std::uint64_t>(
        slots_.held() + shared_use.adopted + unheld / owners, pool_.slots());
    usage.capacity_bytes = most * page_size;
    return usage;
}

tier_factory make_file_tier_factory(const file_tier_config& config) {
    if (config.queue_depth < 1 || config.queue_depth > 1024)
        throw setup_error(errc::invalid_config,
                          "tiers[].queue_depth: " + std::to_string(config.queue_depth) +
                              " is not allowed, 1 to 1024 are");
    if (config.shared) {
        auto volume = std::make_shared<shared_volume>(config);
        return
            [volume, name = config.name, depth = config.queue_depth](const tier_context& context) {
                file_tier::parts p{volume->store(), make_linux_aio_queue(volume->fd(), depth),
                                   depth, context.workers, context.home};
                p.sharing = volume;
                return std::make_unique<file_tier>(name, std::move(p));
            };
    }
    auto store = std::make_shared<file_store>(config);
    return [store, name = config.name, depth = config.queue_depth](const tier_context& context) {
        return std::make_unique<file_tier>(
            name, file_tier::parts{store, make_linux_aio_queue(store->fd(), depth), depth,
                                   context.workers, context.home});
    };
}

} // namespace uffdmm
