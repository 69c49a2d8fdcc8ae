// SPDX-License-Identifier: BSD-3-Clause
#include "errors.hpp"

#include <cerrno>
#include <cstring>
#include <new>
#include <string>
#include <thread>

#include "support/catch.hpp"
#include "uffdmm.h"

using namespace uffdmm;
using namespace uffdmm::shim;

namespace {

std::string last_error() {
    return uffdmm_last_error();
}

} // namespace

TEST_CASE("abi: a thread that never failed has no error text", "[abi]") {
    std::string text = "unset";
    int code = -1;
    std::thread([&] {
        text = uffdmm_last_error();
        code = uffdmm_last_errc();
    }).join();
    CHECK(text.empty());
    CHECK(code == UFFDMM_OK);
}

TEST_CASE("abi: a failure on one thread leaves the error text of another alone", "[abi]") {
    fail("mine", errc::full, ENOSPC, "first");
    std::thread([] { fail("other", errc::busy, EBUSY, "second"); }).join();
    CHECK(last_error() == "mine: first");
    CHECK(uffdmm_last_errc() == UFFDMM_FULL);
}

TEST_CASE("abi: every kind of failure has the errno value the header gives it", "[abi]") {
    const std::pair<errc, int> pairs[] = {
        {errc::ok, 0},
        {errc::invalid_argument, EINVAL},
        {errc::invalid_config, EINVAL},
        {errc::not_supported, EOPNOTSUPP},
        {errc::permission_denied, EPERM},
        {errc::busy, EBUSY},
        {errc::no_memory, ENOMEM},
        {errc::limit_too_small, EDQUOT},
        {errc::not_found, ENOENT},
        {errc::wrong_state, EBADFD},
        {errc::io_error, EIO},
        {errc::corrupt, EBADMSG},
        {errc::poisoned, EHWPOISON},
        {errc::full, ENOSPC},
        {errc::shut_down, ESHUTDOWN},
    };
    for (const auto& [code, number] : pairs) {
        INFO(to_string(code));
        CHECK(errno_of(code, EXDEV) == number);
    }
}

TEST_CASE("abi: a failing system call gives its errno value, EIO where it has none", "[abi]") {
    CHECK(errno_of(errc::system, EMFILE) == EMFILE);
    CHECK(errno_of(errc::system, 0) == EIO);
}

TEST_CASE("abi: no exception leaves a C call", "[abi]") {
    CHECK(guarded("f", []() -> int { throw setup_error(errc::busy, "taken"); }) == -EBUSY);
    CHECK(last_error() == "f: taken");
    CHECK(guarded("f", []() -> int { throw too_new("a new option"); }) == -E2BIG);
    CHECK(uffdmm_last_errc() == UFFDMM_NOT_SUPPORTED);
    CHECK(guarded("f", []() -> int { throw std::bad_alloc(); }) == -ENOMEM);
    CHECK(uffdmm_last_errc() == UFFDMM_NO_MEMORY);
    CHECK(guarded("f", []() -> int { throw std::length_error("too long"); }) == -EIO);
    CHECK(last_error() == "f: too long");
    CHECK(guarded("f", []() -> int { throw 1; }) == -EIO);
}

TEST_CASE("abi: the text of a failed result names subject, operation, cause and what is allowed",
          "[abi]") {
    const error failure{errc::system, EMFILE, "UFFDIO_API"};
    CHECK(fail("f", failure, "region \"ram\"", "allowed: more descriptors") == -EMFILE);
    CHECK(last_error() == "f: region \"ram\": system error (UFFDIO_API), Too many open files; "
                          "allowed: more descriptors");
}

TEST_CASE("abi: an error text that is too long is cut between characters", "[abi]") {
    for (const std::size_t shift : {0u, 1u, 2u}) {
        std::string text(shift, 'x');
        for (int i = 0; i < 1000; ++i)
            text += "\u20ac"; // three bytes
        fail("f", errc::full, ENOSPC, text);
        const std::string kept = last_error();
        CHECK(kept.size() > 1000);
        CHECK((kept.size() - 3 - shift) % 3 == 0);
    }
}

TEST_CASE("abi: a number that is no kind of failure is called unknown", "[abi]") {
    CHECK(std::string(uffdmm_errc_name(UFFDMM_LIMIT_TOO_SMALL)) == "limit too small");
    CHECK(std::string(uffdmm_errc_name(-1)) == "unknown");
    CHECK(std::string(uffdmm_errc_name(UFFDMM_SYSTEM + 1)) == "unknown");
}

TEST_CASE("abi: a size with a wrong unit is refused with what is allowed", "[abi]") {
    uint64_t bytes = 7;
    CHECK(uffdmm_parse_size("256M", &bytes) == 0);
    CHECK(bytes == 268435456);
    CHECK(uffdmm_parse_size("256X", &bytes) == -EINVAL);
    CHECK(bytes == 268435456);
    CHECK(last_error().find("256X") != std::string::npos);
    CHECK(last_error().find("powers of 1024") != std::string::npos);
    CHECK(uffdmm_parse_size(nullptr, &bytes) == -EINVAL);
    CHECK(last_error() == "uffdmm_parse_size: text is NULL; allowed: a valid pointer");
    CHECK(uffdmm_parse_size("1", nullptr) == -EINVAL);
}
