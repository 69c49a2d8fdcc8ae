#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A QEMU with memory-backend-uffdmm from the distribution's source: shim/qemu/build.sh [VERSION]
#
#   shim/qemu/build.sh [10.0|10.2|7.2] [--build DIR]
#
# Prints one line, the path of the program; progress goes to stderr. Fetches the source package,
# adds the backend (apply.sh) and builds a small x86_64 system emulator, in 5 to 10 minutes the
# first time. All of it stays in ${XDG_CACHE_HOME:-~/.cache}/uffdmm/qemu-VERSION, so that a change
# of the backend costs what it touches, and none costs a second. The machine's package lists are
# left alone; missing build dependencies are installed as root or by sudo.
#
# The program in DIR (the project's build folder, `build` unless said, built as far as needed) uses
# the libuffdmm of DIR. UFFDMM_DEBIAN_MIRROR: a Debian mirror, where the machine's package sources
# name none.
set -euo pipefail

# shellcheck source=.ci/setup
source "$(dirname "${BASH_SOURCE[0]}")/../../.ci/setup"
here=$uffdmm_source_dir/shim/qemu

fail() {
    printf 'build.sh: %s\n' "$*" >&2
    exit 1
}

say() {
    printf 'qemu %s: %s\n' "$version" "$*" >&2
}

version=10.0
dir=$uffdmm_source_dir/build
while [[ $# -gt 0 ]]; do
    case $1 in
    10.0 | 10.2 | 7.2) version=$1 ;;
    --build)
        dir=${2:?--build takes a folder}
        shift
        ;;
    -h | --help)
        sed -n '4,18s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
        exit 0
        ;;
    *) fail "$1 is not allowed; allowed: 10.0, 10.2, 7.2, --build DIR" ;;
    esac
    shift
done
# The Debian release that has this QEMU and a Meson for it; of a QEMU that no release has, the
# source package by name and checksum.
package=qemu
checksum=
case $version in
10.0) suite=trixie ;;
10.2)
    suite=trixie
    package=qemu_10.2.2+ds-1.dsc
    checksum=f1684b3aa5ec500c3389d346c6501dee45041ea91656c6556d4da9023b7987dd
    ;;
7.2) suite=bookworm ;;
esac
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
library_version=$(sed -n "s/^  version: '\(.*\)',$/\1/p" "$uffdmm_source_dir/meson.build")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/uffdmm/qemu-$version
mkdir -p "$cache"
log=$cache/log
[[ ! -d /usr/lib/ccache ]] || export PATH=/usr/lib/ccache:$PATH CCACHE_NOHASHDIR=1

# Base address of the Debian mirror that the machine uses.
mirror() {
    local found
    found=${UFFDMM_DEBIAN_MIRROR:-$(apt-get update --print-uris 2>/dev/null |
        sed -nE "s|^'([^']*/debian)/+dists/[^/']+/InRelease'.*|\1|p" | head -n 1)}
    [[ -n $found ]] || fail "no Debian mirror among the machine's package sources; name one in" \
        "UFFDMM_DEBIAN_MIRROR, or add the backend to a source tree of yours with apply.sh"
    printf '%s\n' "$found"
}

# apt-get of that release, with lists and files of its own.
private_apt() {
    (cd "$cache/packages" && apt-get -qq -o Dir::Etc::SourceList="$cache/suite.sources" \
        -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$cache/lists" \
        -o Dir::Cache="$cache/apt" -o APT::Sandbox::User=root \
        -o Acquire::Languages=none "$@" </dev/null)
}

open_suite() {
    [[ ! -f $cache/suite.sources ]] || return 0
    mkdir -p "$cache/packages" "$cache/lists/partial" "$cache/apt/archives/partial"
    printf '%s\n' 'Types: deb deb-src' "URIs: $(mirror)" "Suites: $suite" 'Components: main' \
        'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg' >"$cache/new.sources"
    mv "$cache/new.sources" "$cache/suite.sources"
    if ! private_apt update; then
        rm -f "$cache/suite.sources"
        return 1
    fi
}

# One file of the source package, which has to have that checksum.
fetch_pool_file() {
    /usr/lib/apt/apt-helper -qq -o APT::Sandbox::User=root download-file \
        "$(mirror)/pool/main/q/qemu/$1" "$cache/packages/$1" "SHA256:$2"
}

fetch_named_package() {
    local sum name
    mkdir -p "$cache/packages"
    fetch_pool_file "$package" "$checksum"
    sed -n '/^Checksums-Sha256:/,/^Files:/s/^ //p' "$cache/packages/$package" |
        while read -r sum _ name; do
            fetch_pool_file "$name" "$sum"
        done
}

fetch_suite_package() {
    open_suite
    package=$(private_apt source --only-source --print-uris qemu | grep -oE 'qemu_[^ /]+\.dsc ')
    package=${package% }
    [[ $package == qemu_"$version"[.+]* ]] ||
        fail "$suite has $package, not $version; use apply.sh on a source tree of yours"
    private_apt source --only-source --download-only qemu
}

# The distribution's source, its patches applied, as `pristine`.
get_source() {
    [[ ! -d $cache/pristine ]] || return 0
    if [[ -n $checksum ]]; then
        fetch_named_package
    else
        fetch_suite_package
    fi
    rm -rf "$cache/unpacked" "$cache/source"
    # apt, or the checksum, has verified it.
    dpkg-source --no-check -x "$cache/packages/$package" "$cache/unpacked"
    rm -rf "$cache/unpacked/.pc" "$cache/packages"/qemu_*
    mv "$cache/unpacked" "$cache/pristine"
}

# A Python with the Meson that this QEMU asks for; 7.2 is content with any.
make_python() {
    [[ ! -x $cache/python/bin/meson && $version != 7.2 ]] || return 0
    local name site
    rm -rf "$cache/python" "$cache/new-python"
    python3 -m venv --system-site-packages "$cache/new-python"
    open_suite
    private_apt download meson python3-pycotap
    for name in meson python3-pycotap; do
        dpkg-deb -x "$cache/packages/${name}"_*.deb "$cache/unpacked-packages"
    done
    site=$(echo "$cache"/new-python/lib/python3*/site-packages)
    cp -r "$cache/unpacked-packages"/usr/lib/python3/dist-packages/* "$site"
    sed "1s|.*|#!$cache/python/bin/python3|" "$cache/unpacked-packages/usr/bin/meson" \
        >"$cache/new-python/bin/meson"
    chmod +x "$cache/new-python/bin/meson"
    sed -i "s|$cache/new-python|$cache/python|g" "$cache"/new-python/bin/activate* \
        "$cache"/new-python/bin/pip*
    rm -rf "$cache/unpacked-packages"
    mv "$cache/new-python" "$cache/python"
}

# What the build links with, apart from any build folder: another one may be built at the same
# time, and the program finds its library by the wrapper.
place_library() {
    local folder=$cache/library library=$1 header
    mkdir -p "$folder/lib" "$folder/include"
    for header in "$uffdmm_source_dir"/shim/uffdmm*.h; do
        cmp -s "$header" "$folder/include/${header##*/}" || cp "$header" "$folder/include"
    done
    cmp -s "$library" "$folder/lib/libuffdmm.so.0" || cp "$library" "$folder/lib/libuffdmm.so.0"
    ln -sf libuffdmm.so.0 "$folder/lib/libuffdmm.so"
    printf '%s\n' 'Name: uffdmm' 'Description: libuffdmm' "Version: ${library##*.so.}" \
        "Libs: -L$folder/lib -luffdmm" "Cflags: -I$folder/include" >"$folder/lib/uffdmm.pc"
}

# Brings `source` to pristine + backend, writing only files whose contents change, so that Ninja
# builds no more than it must.
patch_source() {
    local scratch=$cache/scratch name
    [[ -d $cache/source ]] || cp -al "$cache/pristine" "$cache/source"
    rm -rf "$scratch"
    mkdir -p "$scratch"
    {
        printf '%s\n' VERSION
        printf '%s\n' system/physmem.c softmmu/physmem.c
        sed -n 's|^+++ b/||p' "$here/patches/$version.patch"
    } | sort -u >"$scratch.files"
    while read -r name; do
        if [[ -f $cache/pristine/$name ]]; then
            mkdir -p "$scratch/$(dirname "$name")"
            cp "$cache/pristine/$name" "$scratch/$name"
        fi
    done <"$scratch.files"
    "$here/apply.sh" "$scratch"
    (cd "$scratch" && find . -type f -printf '%P\n') | sort -u >"$scratch.files"
    # Files that an earlier state had touched and this one does not.
    if [[ -f $cache/touched ]]; then
        comm -23 "$cache/touched" "$scratch.files" | while read -r name; do
            rm -f "$cache/source/$name"
            [[ ! -f $cache/pristine/$name ]] || cp "$cache/pristine/$name" "$cache/source/$name"
        done
    fi
    sort -u "$scratch.files" "$cache/touched" -o "$cache/touched" 2>/dev/null ||
        cp "$scratch.files" "$cache/touched"
    while read -r name; do
        if ! cmp -s "$scratch/$name" "$cache/source/$name"; then
            mkdir -p "$cache/source/$(dirname "$name")"
            cp --remove-destination "$scratch/$name" "$cache/source/$name"
        fi
    done <"$scratch.files"
    cp "$scratch.files" "$cache/touched"
    rm -rf "$scratch" "$scratch.files"
}

configure() {
    local options=(--target-list=x86_64-softmmu --without-default-features --enable-system
        --enable-tcg --enable-kvm --enable-linux-aio --enable-seccomp --enable-vhost-kernel
        --enable-vhost-user --enable-uffdmm --disable-docs --disable-werror --disable-debug-info
        --disable-install-blobs --disable-tools --disable-guest-agent)
    if [[ $version == 7.2 ]]; then
        options+=(--meson="$(command -v meson)" --with-git-submodules=ignore)
    else
        options+=(--python="$cache/python/bin/python3" --disable-download)
    fi
    local wanted
    wanted="${options[*]} $(sha256sum <"$cache/source/meson_options.txt")"
    if [[ -f $cache/build/build.ninja && -f $cache/configured ]]; then
        [[ $(<"$cache/configured") != "$wanted" ]] || return 0
    fi
    rm -rf "$cache/build" "$cache/configured"
    mkdir "$cache/build"
    (cd "$cache/build" && "$cache/source/configure" "${options[@]}")
    printf '%s\n' "$wanted" >"$cache/configured"
}

all_of_it() {
    get_source
    make_python
    place_library "$1"
    patch_source
    export PKG_CONFIG_PATH=$cache/library/lib
    configure
    ninja -C "$cache/build" -j "$(nproc)" qemu-system-x86_64
    "$cache/build/qemu-system-x86_64" -object memory-backend-uffdmm,help
}

# What the program was made from.
state() {
    {
        printf '%s\n' "$version"
        cat "$uffdmm_source_dir"/shim/uffdmm*.h "$here/build.sh" "$here/apply.sh" \
            "$here/patches/$version.patch"
        find "$here/tree" -type f ! -name '.*' | sort | xargs cat
    } | sha256sum
}

uffdmm_setup_packages qemu
uffdmm_build "$dir" -- "shim/libuffdmm.so.$library_version" >&2
library=$dir/shim/libuffdmm.so.$library_version

mkdir -p "$dir/qemu"
program=$dir/qemu/qemu-system-x86_64-$version
current=$(state)
if [[ ! -x $program || $(cat "$program.state" 2>/dev/null) != "$current" ]]; then
    exec 9>"$cache/lock"
    flock -n 9 || {
        say 'another build is under way, waiting for it'
        flock 9
    }
    if [[ ! -x $cache/build/qemu-system-x86_64 ]]; then
        say 'building, 5 to 10 minutes the first time'
    fi
    # A subshell of its own, for `set -e` does not work where a status is asked for.
    set +e
    (
        set -e
        all_of_it "$library"
    ) >"$log" 2>&1
    status=$?
    set -e
    if [[ $status -ne 0 ]]; then
        { grep -E -A 12 'FAILED:|ERROR:|error:' "$log" | head -n 60 || true; } | cut -c 1-200 >&2
        tail -n 20 "$log" | cut -c 1-200 >&2
        fail "QEMU $version does not build; the whole log is $log"
    fi
    rm -f "$program.state"
    cp --remove-destination "$cache/build/qemu-system-x86_64" "$program.bin"
    # Firmware is in folders that the distribution's QEMU knows by itself.
    cat >"$program.new" <<END
#!/bin/sh
LD_LIBRARY_PATH=$dir/shim\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
exec $program.bin -L /usr/share/seabios -L /usr/lib/ipxe/qemu -L /usr/share/qemu "\$@"
END
    chmod +x "$program.new"
    mv "$program.new" "$program"
    printf '%s\n' "$current" >"$program.state"
fi
printf '%s\n' "$program"
