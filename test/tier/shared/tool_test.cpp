// SPDX-License-Identifier: BSD-3-Clause

/// uffdmm-store as people run it. UFFDMM_STORE_PROGRAM is where it was built.

#include <cstdio>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

#include "tier/shared/shared_rig.hpp"

namespace {

using namespace uffdmm;
using namespace uffdmm::test;

struct outcome {
    int status = -1;
    std::string text; ///< what it said, errors too
};

outcome run(const std::string& arguments) {
    const std::string command = std::string(UFFDMM_STORE_PROGRAM) + " " + arguments + " 2>&1";
    FILE* const pipe = ::popen(command.c_str(), "re");
    REQUIRE(pipe != nullptr);
    outcome o;
    char buffer[512];
    for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) != 0;)
        o.text.append(buffer, n);
    const int status = ::pclose(pipe);
    REQUIRE(WIFEXITED(status));
    o.status = WEXITSTATUS(status);
    return o;
}

/// A process that takes a volume with some extents and ends without a word.
void leave_behind(const std::string& path, bool offer, bool keep) {
    const pid_t pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        volume_table table(path);
        bool ok = table.open_volume("vm").ok() && table.claim(5).ok();
        if (offer)
            ok = ok && table.offer(nonce_of(1), keep).ok();
        ::_exit(ok ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    REQUIRE(status == 0);
}

} // namespace

TEST_CASE("uffdmm-store: shows who lives, and finds nothing wrong with it") {
    temporary_directory directory;
    const std::string path = directory.file("store");
    volume_table table(shared_config(path));
    REQUIRE(table.open_volume("my tier").ok());
    REQUIRE(table.claim(4).ok());
    const outcome list = run("list " + path);
    CHECK(list.status == 0);
    CHECK_THAT(list.text, Catch::Contains("64 extents of 0.25 MiB, 15 MiB free"));
    CHECK_THAT(list.text, Catch::Contains("volume 0: held, 1 MiB, \"my tier\""));
    CHECK_THAT(list.text, Catch::Contains(std::to_string(::getpid())));
    const outcome check = run("check " + path);
    CHECK(check.status == 0);
    CHECK_THAT(check.text, Catch::Contains("nothing is left behind"));
    CHECK_THAT(run("free " + path).text, Catch::Contains("freed: 0 volumes, 0 extents"));
    const outcome by_number = run("free " + path + " 0");
    CHECK(by_number.status == 2);
    CHECK_THAT(by_number.text, Catch::Contains("volume 0 is not freed: its holder lives"));
}

TEST_CASE("uffdmm-store: finds what the dead have left, and frees it") {
    for (const bool offered : {false, true}) {
        temporary_directory directory;
        const std::string path = directory.file("store");
        { volume_table made(shared_config(path)); }
        leave_behind(path, offered, false);
        const outcome before = run("check " + path);
        CHECK(before.status == 1);
        CHECK_THAT(before.text, Catch::Contains("dead") && Catch::Contains("1 left behind"));
        CHECK_THAT(run("free " + path).text, Catch::Contains("freed: 1 volumes, 5 extents"));
        CHECK(run("check " + path).status == 0);
        require_all_free(path);
    }
}

TEST_CASE("uffdmm-store: a saved VM is freed only by name") {
    temporary_directory directory;
    const std::string path = directory.file("store");
    { volume_table made(shared_config(path)); }
    leave_behind(path, true, true);
    const outcome check = run("check " + path);
    CHECK(check.status == 0);
    CHECK_THAT(check.text, Catch::Contains("volume 0: kept"));
    CHECK_THAT(run("free " + path).text, Catch::Contains("freed: 0 volumes"));
    CHECK_THAT(run("free " + path + " 0").text, Catch::Contains("freed: 1 volumes, 5 extents"));
    require_all_free(path);
}

TEST_CASE("uffdmm-store: what it is not meant for is refused with a reason") {
    temporary_directory directory;
    const std::string path = directory.file("store");
    CHECK(run("").status == 2);
    CHECK_THAT(run("lsit " + path).text, Catch::Contains("there are list, check and free"));
    CHECK_THAT(run("list").text, Catch::Contains("takes the name of a file"));
    CHECK(run("list " + path).status == 2); // there is none
    CHECK(run("--help").status == 0);
    FILE* const other = std::fopen(path.c_str(), "w");
    REQUIRE(other != nullptr);
    std::fputs("not a store", other);
    std::fclose(other);
    const outcome refused = run("free " + path);
    CHECK(refused.status == 2);
    CHECK_THAT(refused.text, Catch::Contains("uffdmm-store: (\"" + path + "\"): is a file") &&
                                 Catch::Contains("no shared store\n"));
    const std::string store = directory.file("real");
    { volume_table made(shared_config(store)); }
    CHECK_THAT(run("free " + store + " x").text, Catch::Contains("\"x\" is not the number"));
    CHECK_THAT(run("free " + store + " 256").text, Catch::Contains("allowed: 0 to 255"));
}
