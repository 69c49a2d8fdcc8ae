// SPDX-License-Identifier: BSD-3-Clause
#include "run/program_file.hpp"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string_view>
#include <vector>

#include <elf.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace preload {
namespace {

constexpr int most_interpreters = 4;
constexpr std::size_t most_text = 4096;

std::string found_in_path(const std::string& name) {
    if (name.find('/') != std::string::npos)
        return name;
    const char* const variable = std::getenv("PATH");
    std::string_view rest = variable != nullptr ? variable : "/bin:/usr/bin";
    while (true) {
        const std::size_t colon = rest.find(':');
        std::string candidate(rest.substr(0, colon));
        candidate.append(candidate.empty() ? "" : "/").append(name);
        if (::access(candidate.c_str(), X_OK) == 0)
            return candidate;
        if (colon == std::string_view::npos)
            return {};
        rest.remove_prefix(colon + 1);
    }
}

/// "#! /bin/sh -e" → "/bin/sh"; "" if it is no script.
std::string interpreter_of(const std::string& head) {
    if (!head.starts_with("#!"))
        return {};
    const std::size_t begin = head.find_first_not_of(" \t", 2);
    if (begin == std::string::npos)
        return {};
    return head.substr(begin, head.find_first_of(" \t\r\n", begin) - begin);
}

std::string beginning_of(std::ifstream& file, std::size_t most) {
    std::string text(most, '\0');
    file.read(text.data(), static_cast<std::streamsize>(most));
    text.resize(static_cast<std::size_t>(file.gcount()));
    file.clear();
    return text;
}

/// The dynamic linker changes its ways for programs with more rights than the user.
std::string why_secure(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0)
        return {};
    if ((status.st_mode & S_ISUID) != 0 && status.st_uid != ::getuid())
        return "is setuid";
    if ((status.st_mode & S_ISGID) != 0 && status.st_gid != ::getgid())
        return "is setgid";
    if (::getuid() != 0 && ::getxattr(path.c_str(), "security.capability", nullptr, 0) > 0)
        return "has file capabilities";
    return {};
}

template <typename Structure>
bool read_at(std::ifstream& file, std::uint64_t offset, Structure& out) {
    file.seekg(static_cast<std::streamoff>(offset));
    file.read(reinterpret_cast<char*>(&out), sizeof out);
    return file.gcount() == sizeof out;
}

/// The path of the dynamic linker; "" for a static program.
std::string linker_of(std::ifstream& file, const Elf64_Ehdr& head) {
    for (unsigned i = 0; i < head.e_phnum; ++i) {
        Elf64_Phdr part{};
        if (!read_at(file, head.e_phoff + std::uint64_t{i} * head.e_phentsize, part))
            return {};
        if (part.p_type != PT_INTERP || part.p_filesz > most_text)
            continue;
        file.seekg(static_cast<std::streamoff>(part.p_offset));
        const std::string text = beginning_of(file, part.p_filesz);
        return text.c_str();
    }
    return {};
}

Elf64_Ehdr own_head() {
    std::ifstream self("/proc/self/exe", std::ios::binary);
    Elf64_Ehdr head{};
    (void)read_at(self, 0, head);
    return head;
}

std::string why_unlinked(std::ifstream& file) {
    Elf64_Ehdr head{};
    if (!read_at(file, 0, head) || std::memcmp(head.e_ident, ELFMAG, SELFMAG) != 0)
        return {};
    const Elf64_Ehdr own = own_head();
    if (head.e_ident[EI_CLASS] != own.e_ident[EI_CLASS] || head.e_machine != own.e_machine)
        return "is of another architecture";
    const std::string linker = linker_of(file, head);
    if (linker.empty())
        return "is statically linked";
    if (linker.find("ld-musl") != std::string::npos)
        return "uses another C library (" + linker + ")";
    return {};
}

} // namespace

std::string why_unmanaged(const std::string& name) {
    std::string path = found_in_path(name);
    for (int i = 0; i < most_interpreters && !path.empty(); ++i) {
        std::ifstream file(path, std::ios::binary);
        const std::string interpreter = interpreter_of(beginning_of(file, most_text));
        if (!interpreter.empty()) {
            path = interpreter;
            continue;
        }
        file.seekg(0);
        std::string why = why_secure(path);
        if (why.empty())
            why = why_unlinked(file);
        return why.empty() ? why : path + " " + why;
    }
    return {};
}

} // namespace preload
