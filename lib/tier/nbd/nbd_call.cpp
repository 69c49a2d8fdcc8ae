// SPDX-License-Identifier: BSD-3-Clause
#include "tier/nbd/nbd_call.hpp"

#include <cerrno>

namespace uffdmm {

result<void> nbd_call::read(std::uint64_t offset, std::span<std::byte> out) {
    return run(nbd_command::kind::read, offset, out);
}

result<void> nbd_call::write(std::uint64_t offset, std::span<std::byte> bytes) {
    return run(nbd_command::kind::write, offset, bytes);
}

result<void> nbd_call::flush() {
    return run(nbd_command::kind::flush, 0, {});
}

result<void> nbd_call::run(nbd_command::kind what, std::uint64_t offset,
                           std::span<std::byte> buffer) {
    result_ = {};
    std::future<std::int64_t> answer = result_.get_future();
    buffer_ = {buffer.data(), buffer.size()};
    command_.what = what;
    command_.from = this;
    command_.link = &link_;
    command_.offset = offset;
    command_.bytes = static_cast<std::uint32_t>(buffer.size());
    command_.vectors = buffer.empty() ? std::span<const iovec>() : std::span(&buffer_, 1);
    link_.submit(command_);
    const std::int64_t done = answer.get();
    if (done == static_cast<std::int64_t>(buffer.size()))
        return {};
    return error{errc::io_error, done < 0 ? static_cast<int>(-done) : EIO,
                 "network block device: a request for the store"};
}

} // namespace uffdmm
