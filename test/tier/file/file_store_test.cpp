// SPDX-License-Identifier: BSD-3-Clause
#include "tier/file/file_store.hpp"

#include <cerrno>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "support/catch.hpp"
#include "tier/file/file_rig.hpp"
#include "tier/file/refusing_kernel.hpp"

namespace {

using namespace uffdmm;
using namespace uffdmm::test;
using Catch::Matchers::Contains;

constexpr byte_count mib = 1 << 20;

void require_refused(const file_tier_config& config, errc code, const std::string& key,
                     const std::string& why) {
    try {
        (void)make_file_tier_factory(config);
        FAIL("not refused");
    } catch (const setup_error& e) {
        CHECK(to_string(e.code()) == std::string(to_string(code)));
        CHECK_THAT(e.what(), Contains("tiers[]." + key) && Contains(why));
    }
}

struct stat stat_of(int fd) {
    struct stat st {};
    REQUIRE(::fstat(fd, &st) == 0);
    return st;
}

TEST_CASE("file_store: in a directory the file has no name and mode 0600") {
    const temporary_directory directory;
    const file_store store(file_config(directory.path(), mib));
    REQUIRE(directory.empty());
    REQUIRE((stat_of(store.fd()).st_mode & 07777) == 0600);
    REQUIRE(stat_of(store.fd()).st_nlink == 0);
    REQUIRE((::fcntl(store.fd(), F_GETFL) & O_DIRECT) != 0);
    REQUIRE((::fcntl(store.fd(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("file_store: where O_TMPFILE is refused, the file is unlinked and private all the same") {
    const temporary_directory directory;
    const ::mode_t old = ::umask(0);
    with_refused_call({SYS_openat, 2, O_TMPFILE & ~O_DIRECTORY, EOPNOTSUPP}, [&] {
        const file_store store(file_config(directory.path(), mib));
        CHECK(directory.empty());
        CHECK((stat_of(store.fd()).st_mode & 07777) == 0600);
        CHECK(stat_of(store.fd()).st_nlink == 0);
    });
    ::umask(old);
}

TEST_CASE("file_store: a named file is private while in use and removed at the end") {
    const temporary_directory directory;
    const std::string path = directory.file("swap");
    {
        const file_store store(file_config(path, mib));
        REQUIRE((stat_of(store.fd()).st_mode & 07777) == 0600);
        REQUIRE(std::filesystem::exists(path));
        REQUIRE(store.offset_of(0) == page_size);
        REQUIRE(std::filesystem::file_size(path) == mib + page_size);
    }
    REQUIRE(directory.empty());
}

TEST_CASE("file_store: a kept file stays, and the next run may use it") {
    const temporary_directory directory;
    file_tier_config config = file_config(directory.file("swap"), mib);
    config.keep = true;
    for (int run = 0; run < 2; ++run) {
        {
            const auto store = std::make_shared<file_store>(config);
            shard_rig shard(store);
            shard.require_contents(shard.stored(keys(0, 200)), keys(0, 200));
        }
        REQUIRE(std::filesystem::file_size(config.path) == mib + page_size);
        REQUIRE(::chmod(config.path.c_str(), 0644) == 0); // made private again by the next run
    }
    config.keep = false;
    REQUIRE(refusal_of(config).empty());
    REQUIRE(directory.empty());
}

TEST_CASE("file_store: a file with somebody's contents is refused and left alone") {
    const temporary_directory directory;
    const std::string path = directory.file("thesis.tex");
    std::ofstream(path) << "years of work";
    require_refused(file_config(path, mib), errc::invalid_config, "path", "not overwritten");
    std::string text;
    std::getline(std::ifstream(path), text);
    REQUIRE(text == "years of work");
}

TEST_CASE("file_store: an empty file is taken over and becomes private") {
    const temporary_directory directory;
    const std::string path = directory.file("swap");
    std::ofstream{path};
    REQUIRE(::chmod(path.c_str(), 0666) == 0);
    const file_store store(file_config(path, mib));
    REQUIRE((stat_of(store.fd()).st_mode & 07777) == 0600);
}

TEST_CASE("file_store: a file in use by another tier is refused and stays with it") {
    const temporary_directory directory;
    const std::string path = directory.file("swap");
    const file_store store(file_config(path, mib));
    require_refused(file_config(path, mib), errc::busy, "path", "in use");
    REQUIRE(std::filesystem::file_size(path) == mib + page_size);
}

TEST_CASE("file_store: a file that took the name meanwhile is not removed") {
    const temporary_directory directory;
    const std::string path = directory.file("swap");
    {
        const file_store store(file_config(path, mib));
        std::filesystem::remove(path);
        std::ofstream(path) << "new";
    }
    REQUIRE(std::filesystem::exists(path));
}

TEST_CASE("file_store: a path that is no place for a file is refused by name") {
    const temporary_directory directory;
    const std::string link = directory.file("link");
    const std::string fifo = directory.file("fifo");
    std::filesystem::create_symlink(directory.file("target"), link);
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    std::ofstream(directory.file("plain")) << "x";
    require_refused(file_config("", mib), errc::invalid_config, "path", "is required");
    require_refused(file_config(directory.file("no/such"), mib), errc::not_found, "path",
                    "no such directory");
    require_refused(file_config(directory.file("plain/x"), mib), errc::not_found, "path",
                    "no such directory");
    require_refused(file_config(directory.file("new/"), mib), errc::not_found, "path",
                    "no such directory");
    require_refused(file_config("/dev/uffdmm-none", mib), errc::not_found, "path",
                    "no such block device");
    require_refused(file_config("/dev/null", mib), errc::invalid_config, "path", "neither");
    require_refused(file_config(fifo, mib), errc::invalid_config, "path", "neither");
    require_refused(file_config(link, mib), errc::invalid_config, "path", "symbolic link");
}

TEST_CASE("file_store: a directory without permission is refused") {
    if (::geteuid() != 0) {
        WARN("skipped: needs root to become somebody else");
        return;
    }
    const temporary_directory directory; // mode 0700, root's
    const file_tier_config in_directory = file_config(directory.path(), mib);
    const file_tier_config named = file_config(directory.file("swap"), mib);
    ::setfsuid(65534); // this thread's alone
    require_refused(in_directory, errc::permission_denied, "path", "may not be opened");
    require_refused(named, errc::permission_denied, "path", "may not be opened");
    ::setfsuid(0);
}

TEST_CASE("file_store: a size that a file cannot have is refused, and nothing stays behind") {
    const temporary_directory directory;
    const bool named = GENERATE(false, true);
    const std::string path = named ? directory.file("swap") : directory.path();
    require_refused(file_config(path, 0), errc::invalid_config, "size", "at least 4096");
    require_refused(file_config(path, 4095), errc::invalid_config, "size", "at least 4096");
    require_refused(file_config(path, byte_count{1} << 60), errc::invalid_config, "size",
                    "more than a tier can use");
    file_tier_config keep = file_config(directory.path(), mib);
    keep.keep = true;
    require_refused(keep, errc::invalid_config, "keep", "no name to be kept by");
    file_tier_config depth = file_config(path, mib);
    depth.queue_depth = 0;
    require_refused(depth, errc::invalid_config, "queue_depth", "1 to 1024");
    REQUIRE(directory.empty());
}

TEST_CASE("file_store: disk_full shows at start when blocks are reserved, and takes no space") {
    const temporary_directory directory;
    struct statfs before {};
    REQUIRE(::statfs(directory.path().c_str(), &before) == 0);
    const byte_count room = byte_count{before.f_bavail} * static_cast<byte_count>(before.f_bsize);
    file_tier_config config = file_config(directory.file("swap"), room + 64 * mib);
    config.preallocate = true;
    if (config.size < bytes_of(1u << 31)) {
        require_refused(config, errc::full, "size", "are available; free space");
        REQUIRE(directory.empty());
    } else {
        WARN("skipped: the disk is too big to be filled by one tier");
    }
}

TEST_CASE("file_store: disk_full from fallocate is explained, and takes no space") {
    const temporary_directory directory;
    file_tier_config config = file_config(directory.file("swap"), mib);
    config.preallocate = true;
    with_refused_call({SYS_fallocate, 0, 0, ENOSPC}, [&] {
        require_refused(config, errc::full, "size", "do not fit");
        CHECK(directory.empty());
    });
    with_refused_call({SYS_fallocate, 0, 0, EOPNOTSUPP}, [&] {
        require_refused(config, errc::not_supported, "preallocate", "cannot reserve blocks");
        config.preallocate = false;
        CHECK(refusal_of(config).empty());
    });
}

TEST_CASE("file_store: a preallocated file has its blocks at start") {
    const temporary_directory directory;
    file_tier_config config = file_config(directory.path(), 8 * mib);
    config.preallocate = true;
    const file_store store(config);
    REQUIRE(stat_of(store.fd()).st_blocks * 512 >= static_cast<blkcnt_t>(8 * mib));
    REQUIRE_FALSE(store.discards());
}

TEST_CASE("file_store: a size above ulimit -f is refused instead of raising a signal") {
    const temporary_directory directory;
    rlimit old{};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &old) == 0);
    const rlimit small{mib, old.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
    require_refused(file_config(directory.path(), 2 * mib), errc::full, "size", "ulimit -f");
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &old) == 0);
}

TEST_CASE("file_store: file systems in memory are refused with the reason") {
    struct statfs fs {};
    if (::statfs("/dev/shm", &fs) != 0 || fs.f_type != 0x0102'1994) {
        WARN("skipped: /dev/shm is no tmpfs");
        return;
    }
    require_refused(file_config("/dev/shm", mib), errc::not_supported, "path", "tmpfs");
    const std::string named = "/dev/shm/uffdmm-test-" + std::to_string(::getpid());
    require_refused(file_config(named, mib), errc::not_supported, "path", "tmpfs");
    REQUIRE_FALSE(std::filesystem::exists(named));
}

TEST_CASE("file_store: a file system that refuses O_DIRECT is refused with the reason") {
    const temporary_directory directory;
    const bool named = GENERATE(false, true);
    const std::string path = named ? directory.file("swap") : directory.path();
    with_refused_call({SYS_fcntl, 2, O_DIRECT, EINVAL}, [&] {
        require_refused(file_config(path, mib), errc::not_supported, "path", "refuses O_DIRECT");
    });
    with_refused_call({SYS_pread64, 0, 0, EINVAL}, [&] { // accepts the flag, refuses the I/O
        require_refused(file_config(path, mib), errc::not_supported, "path", "4096 bytes");
    });
    REQUIRE(directory.empty());
}

TEST_CASE("file_store: a file system that cannot punch holes is asked once") {
    const temporary_directory directory;
    file_store store(file_config(directory.path(), mib));
    REQUIRE(store.discards());
    with_refused_call({SYS_fallocate, 0, 0, EOPNOTSUPP}, [&] {
        store.discard({0, 64});
        CHECK_FALSE(store.discards());
    });
}

TEST_CASE("file_tier: no I/O contexts left is refused with the key and the remedy") {
    const temporary_directory directory;
    const tier_factory make = make_file_tier_factory(file_config(directory.path(), mib));
    surroundings around;
    with_refused_call({SYS_io_setup, 0, 0, EAGAIN}, [&] {
        try {
            (void)make({around.workers, around.home, 1024, 0});
            FAIL("not refused");
        } catch (const setup_error& e) {
            CHECK_THAT(e.what(), Contains("tiers[].queue_depth") && Contains("fs.aio-max-nr"));
        }
    });
    REQUIRE(make({around.workers, around.home, 1024, 0})->traits().name == "file");
}

} // namespace
