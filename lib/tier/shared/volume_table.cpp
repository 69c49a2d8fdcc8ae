// SPDX-License-Identifier: BSD-3-Clause
#include "tier/shared/volume_table.hpp"

#include <algorithm>
#include <cerrno>

#include <sys/random.h>
#include <unistd.h>

namespace uffdmm {
namespace {

using next = store_file::next;

error wrong_state(const char* why) noexcept {
    return {errc::wrong_state, 0, why};
}

std::string host_name() {
    char name[64] = {};
    if (::gethostname(name, sizeof name - 1) != 0)
        return "?";
    return name;
}

bool make_random(holder_id& id) noexcept {
    while (id == holder_id{})
        if (::getrandom(id.data(), id.size(), 0) < 0 && errno != EINTR)
            return false;
    return true;
}

constexpr const char* not_ours = "the volume has another owner, or was freed";

} // namespace

/// Holds the table's lock for a scope, if it was got.
class volume_table::table_lock {
  public:
    explicit table_lock(store_file& file) noexcept : file_(file), got_(file.lock_table()) {}
    table_lock(const table_lock&) = delete;
    table_lock& operator=(const table_lock&) = delete;
    ~table_lock() {
        if (got_)
            file_.unlock_table();
    }
    explicit operator bool() const noexcept { return got_.ok(); }
    [[nodiscard]] error failure() const noexcept { return got_.failure(); }

  private:
    store_file& file_;
    result<void> got_;
};

// ---- a volume's life ----------------------------------------------------------------------------

result<volume_name> volume_table::open_volume(const std::string& label) {
    const mutex_lock one(calls_);
    if (own_ != no_volume)
        return wrong_state("open_volume: is open");
    if (!make_random(me_))
        return error{errc::system, errno, "getrandom"};
    const table_lock lock(file_);
    if (!lock)
        return lock.failure();
    if (const auto freed = reclaim_locked(no_volume); !freed)
        return freed.failure();
    if (const auto taken = take_free_volume(label); !taken)
        return taken.failure();
    return volume_name{file_.header().id, own_, generation_};
}

result<void> volume_table::take_free_volume(const std::string& label) {
    for (std::uint32_t volume = 0; volume < file_.geometry().volumes; ++volume) {
        const auto read = file_.read_volume(volume);
        if (!read && read.code() != errc::corrupt)
            return read.failure();
        // The lock of a volume that was given away is its former holder's as long as that lives.
        if (!read || read.value().state != volume_state::free ||
            !file_.try_lock(volume, life_lock::holder))
            continue;
        volume_record record = read.value();
        record.state = volume_state::held;
        record.keep = false;
        ++record.generation;
        record.holder = me_;
        record.lock = volume;
        record.nonce = {};
        record.process = static_cast<std::uint64_t>(::getpid());
        record.host = host_name();
        record.label = label;
        if (const auto written = file_.write_volume(volume, record); !written) {
            file_.unlock(volume, life_lock::holder);
            return written;
        }
        own_ = volume;
        generation_ = record.generation;
        return {};
    }
    return error{errc::busy, 0, "shared store: all its volumes are in use"};
}

result<volume_record> volume_table::own_record() {
    if (own_ == no_volume)
        return wrong_state("shared store: no volume is open");
    auto read = file_.read_volume(own_);
    if (read && (read.value().holder != me_ || read.value().generation != generation_ ||
                 read.value().state == volume_state::free))
        return wrong_state(not_ours);
    return read;
}

result<void> volume_table::require_held() {
    const auto record = own_record();
    if (!record)
        return record.failure();
    return record.value().state == volume_state::held
               ? result<void>{}
               : wrong_state("shared store: the volume is offered");
}

/// Extents first: a process that ends in between leaves a volume that can be reclaimed.
result<void> volume_table::free_volume(std::uint32_t volume) {
    auto record = file_.read_volume(volume);
    if (!record)
        return record.failure();
    const auto freed = file_.visit_entries(0, file_.geometry().extents(),
                                           [volume](std::uint32_t, extent_entry& entry) {
                                               if (entry.owner == volume + 1)
                                                   entry.owner = 0;
                                               return next::go_on;
                                           });
    if (!freed)
        return freed;
    record.value().state = volume_state::free;
    record.value().keep = false;
    return file_.write_volume(volume, record.value());
}

result<void> volume_table::close() {
    const mutex_lock one(calls_);
    const table_lock lock(file_);
    if (!lock)
        return lock.failure();
    const auto record = own_record();
    if (!record)
        return record.failure();
    if (record.value().state != volume_state::held)
        return wrong_state("close: the volume is offered");
    if (unsettled_ != no_volume)
        if (const auto freed = free_volume(unsettled_); !freed)
            return freed;
    unsettled_ = no_volume;
    if (const auto freed = free_volume(own_); !freed)
        return freed;
    file_.unlock(own_, life_lock::holder);
    own_ = no_volume;
    return {};
}

// ---- extents ------------------------------------------------------------------------------------

result<std::vector<extent_grant>> volume_table::claim(std::uint32_t wanted) {
    const mutex_lock one(calls_);
    const table_lock lock(file_);
    if (!lock)
        return lock.failure();
    if (const auto held = require_held(); !held)
        return held.failure();
    std::vector<extent_grant> grants;
    const std::uint32_t owner = own_ + 1;
    const auto take = [&grants, wanted, owner](std::uint32_t extent, extent_entry& entry) {
        if (entry.owner == 0 && entry.generation < most_extent_generation) {
            entry = {owner, entry.generation + 1};
            grants.push_back({extent, entry.generation});
        }
        return grants.size() == wanted ? next::stop : next::go_on;
    };
    const std::uint32_t from = next_extent_;
    auto done = file_.visit_entries(from, file_.geometry().extents(), take);
    if (done && grants.size() < wanted && from != 0)
        done = file_.visit_entries(0, from, take);
    if (!done)
        return done.failure(); // what was written is the volume's, and freed with it
    if (!grants.empty())
        next_extent_ = (grants.back().extent + 1) % file_.geometry().extents();
    return grants;
}

result<void> volume_table::give_back(std::span<const std::uint32_t> extents, bool punch) {
    const mutex_lock one(calls_);
    const table_lock lock(file_);
    if (!lock)
        return lock.failure();
    if (const auto held = require_held(); !held)
        return held;
    std::vector<std::uint32_t> sorted(extents.begin(), extents.end());
    if (sorted.empty())
        return {};
    std::ranges::sort(sorted);
    if (punch)
        for (const std::uint32_t extent : sorted)
            file_.punch(extent); // while it cannot be anybody else's
    const std::uint32_t owner = own_ + 1;
    return file_.visit_entries(sorted.front(), sorted.back() + 1,
                               [&sorted, owner](std::uint32_t extent, extent_entry& entry) {
                                   if (entry.owner == owner &&
                                       std::ranges::binary_search(sorted, extent))
                                       entry.owner = 0;
                                   return next::go_on;
                               });
}

// ---- the source of a handover -------------------------------------------------------------------

result<void> volume_table::offer(const handover_nonce& nonce, bool keep) {
    const mutex_lock one(calls_);
    if (unsettled_ != no_volume)
        return wrong_state("offer: what was accepted has not been settled yet");
    const table_lock lock(file_);
    if (!lock)
        return lock.failure();
    auto record = own_record();
    if (!record)
        return record.failure();
    if (record.value().state != volume_state::held)
        return wrong_state("offer: the volume is offered already");
    if (const auto durable = file_.sync(); !durable)
        return durable;
    record.value().state = volume_state::offered;
    record.value().nonce = nonce;
    record.value().keep = keep;
    return file_.write_volume(own_, record.value());
}

result<void> volume_table::cancel() {
    const mutex_lock one(calls_);
    const table_lock lock(file_);
    if (!lock)
        return lock.failure();
    auto record = own_record();
    if (!record)
        return record.failure();
    if (record.value().state == volume_state::held)
        return {};
    record.value().state = volume_state::held;
    record.value().keep = false;
    return file_.write_volume(own_, record.value());
}

result<handover> volume_table::outcome() {
    const mutex_lock one(calls_);
    const table_lock lock(file_);
    if (!lock)
        return lock.failure();
    const auto record = own_record();
    if (record.code() == errc::wrong_state && own_ != no_volume)
        return handover::given;
    if (!record)
        return record.failure();
    return record.value().state == volume_state::offered ? handover::offered : handover::own;
}

// ---- the destination ----------------------------------------------------------------------------

result<void> volume_table::attach(const volume_name& source) {
    const mutex_lock one(calls_);
    if (source.store != file_.header().id)
        return error{errc::not_found, 0, "attach: the volume is in another store"};
    if (attached_.number != no_volume || unsettled_ != no_volume)
        return error{errc::busy, 0, "attach: another volume is attached"};
    if (source.number == own_ && source.generation == generation_)
        return error{errc::invalid_argument, 0, "attach: the own volume"};
    const table_lock lock(file_);
    if (!lock)
        return lock.failure();
    if (source.number >= file_.geometry().volumes)
        return error{errc::not_found, 0, "attach: no such volume"};
    const auto record = file_.read_volume(source.number);
    if (!record)
        return record.failure();
    if (record.value().state == volume_state::free ||
        record.value().generation != source.generation || source.number == own_)
        return error{errc::not_found, 0, "attach: the volume is not there any more"};
    if (!file_.try_lock(source.number, life_lock::reader))
        return error{errc::busy, 0, "attach: the volume's lock"};
    attached_ = source;
    return {};
}

void volume_table::detach() noexcept {
    const mutex_lock one(calls_);
    if (attached_.number != no_volume)
        file_.unlock(attached_.number, life_lock::reader);
    attached_ = {{}, no_volume, 0};
}

bool volume_table::attached() const {
    const mutex_lock one(calls_);
    return attached_.number != no_volume;
}

bool volume_table::unsettled() const {
    const mutex_lock one(calls_);
    return unsettled_ != no_volume;
}

result<void> volume_table::accept(const handover_nonce& nonce, const extent_check& fits) {
    const mutex_lock one(calls_);
    const std::uint32_t source = attached_.number;
    if (source == no_volume)
        return wrong_state("accept: no volume is attached");
    const table_lock lock(file_);
    if (!lock)
        return lock.failure();
    if (const auto held = require_held(); !held)
        return held;
    auto read = file_.read_volume(source);
    if (!read)
        return read.failure();
    volume_record& record = read.value();
    const bool done_before = record.holder == me_ && record.state == volume_state::held &&
                             record.generation == attached_.generation + 1;
    if (!done_before &&
        (record.state != volume_state::offered || record.generation != attached_.generation))
        return wrong_state("accept: the volume is not offered");
    if (record.nonce != nonce)
        return error{errc::permission_denied, 0, "accept: the volume is offered to another"};
    bool all_fit = true;
    std::uint32_t damaged = 0;
    const auto seen = file_.visit_entries(
        0, file_.geometry().extents(),
        [&](std::uint32_t extent, extent_entry& entry) {
            all_fit = all_fit && fits(extent, entry, entry.owner == source + 1);
            return all_fit ? next::go_on : next::stop;
        },
        &damaged);
    if (!seen)
        return seen;
    if (!all_fit || damaged != 0)
        return error{errc::corrupt, 0, "accept: an adopted location is not the volume's"};
    if (!done_before) {
        record.state = volume_state::held;
        record.keep = false;
        record.holder = me_;
        record.lock = own_;
        ++record.generation;
        record.process = static_cast<std::uint64_t>(::getpid());
        record.host = host_name();
        if (const auto written = file_.write_volume(source, record); !written)
            return written; // perhaps it was: the call can be repeated
    }
    unsettled_ = source;
    file_.unlock(source, life_lock::reader);
    attached_ = {{}, no_volume, 0};
    return {};
}

result<void> volume_table::settle(const std::function<bool(std::uint32_t)>& needed) {
    const mutex_lock one(calls_);
    if (unsettled_ == no_volume)
        return {};
    const table_lock lock(file_);
    if (!lock)
        return lock.failure();
    if (const auto held = require_held(); !held)
        return held;
    const std::uint32_t source = unsettled_;
    const std::uint32_t owner = own_ + 1;
    const auto moved = file_.visit_entries(0, file_.geometry().extents(),
                                           [&](std::uint32_t extent, extent_entry& entry) {
                                               if (entry.owner == source + 1)
                                                   entry.owner = needed(extent) ? owner : 0;
                                               return next::go_on;
                                           });
    if (!moved)
        return moved;
    if (const auto freed = free_volume(source); !freed)
        return freed;
    unsettled_ = no_volume;
    return {};
}

// ---- what is left behind ------------------------------------------------------------------------

result<reclaimed> volume_table::reclaim(std::uint32_t force) {
    const mutex_lock one(calls_);
    const table_lock lock(file_);
    if (!lock)
        return lock.failure();
    return reclaim_locked(force);
}

result<bool> volume_table::is_dead(std::uint32_t volume, const volume_record& record,
                                   std::uint32_t force) {
    const bool mine = record.holder == me_ && me_ != holder_id{};
    if (record.state == volume_state::free || mine || volume == attached_.number)
        return false;
    if (record.state == volume_state::offered && record.keep && volume != force)
        return false;
    // The lock byte's own volume may be this one's: then the former holder is dead.
    return !file_.locked_elsewhere(record.lock, life_lock::holder) &&
           !file_.locked_elsewhere(volume, life_lock::reader);
}

result<reclaimed> volume_table::reclaim_locked(std::uint32_t force) {
    const store_geometry& g = file_.geometry();
    std::vector<std::uint32_t> dead;
    std::vector<bool> gone(g.volumes, false); // whose extents are nobody's
    for (std::uint32_t volume = 0; volume < g.volumes; ++volume) {
        const auto record = file_.read_volume(volume);
        if (!record && record.code() != errc::corrupt)
            return record.failure();
        if (!record)
            continue; // nobody can tell whose it is: only a person frees it
        const auto is = is_dead(volume, record.value(), force);
        gone[volume] = record.value().state == volume_state::free || is.value();
        // A volume that was accepted has another's lock. It goes first: that other volume's number
        // must not be given out again while its lock decides about this one.
        if (is.value())
            dead.insert(record.value().lock == volume ? dead.end() : dead.begin(), volume);
    }
    reclaimed sum;
    const auto freed = file_.visit_entries(0, g.extents(), [&](std::uint32_t, extent_entry& entry) {
        if (entry.owner != 0 && gone[entry.owner - 1]) {
            entry.owner = 0;
            ++sum.extents;
        }
        return next::go_on;
    });
    if (!freed)
        return freed.failure();
    for (const std::uint32_t volume : dead) {
        auto record = file_.read_volume(volume);
        if (!record)
            return record.failure();
        record.value().state = volume_state::free;
        record.value().keep = false;
        if (const auto written = file_.write_volume(volume, record.value()); !written)
            return written.failure();
        ++sum.volumes;
    }
    return sum;
}

result<volume_table::survey> volume_table::look() {
    const mutex_lock one(calls_);
    const table_lock lock(file_);
    if (!lock)
        return lock.failure();
    const store_geometry& g = file_.geometry();
    std::vector<std::uint32_t> extents(g.volumes + 1, 0);
    survey all;
    const auto counted = file_.visit_entries(
        0, g.extents(),
        [&](std::uint32_t, extent_entry& entry) {
            ++extents[entry.owner];
            return next::go_on;
        },
        &all.damaged_entries);
    if (!counted)
        return counted.failure();
    all.free_extents = extents[0];
    for (std::uint32_t volume = 0; volume < g.volumes; ++volume) {
        const auto record = file_.read_volume(volume);
        if (!record && record.code() != errc::corrupt)
            return record.failure();
        if (record && record.value().state == volume_state::free) {
            all.stray_extents += extents[volume + 1];
            continue;
        }
        volume_info info;
        info.number = volume;
        info.damaged = !record;
        if (record)
            info.record = record.value();
        info.alive = record && (info.record.holder == me_ ||
                                file_.locked_elsewhere(info.record.lock, life_lock::holder));
        info.read = file_.locked_elsewhere(volume, life_lock::reader);
        info.extents = extents[volume + 1];
        all.volumes.push_back(info);
    }
    return all;
}

} // namespace uffdmm
