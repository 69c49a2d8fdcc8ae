#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Adds memory-backend-uffdmm to a QEMU source tree: shim/qemu/apply.sh [--reverse] PATH
#
# Copies the files of tree/ and applies the patch for the tree's version; --reverse takes both out
# again. A tree that the patch does not fit stays as it is. Then configure QEMU with
# --enable-uffdmm, and PKG_CONFIG_PATH naming the folder of uffdmm.pc unless libuffdmm is installed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

fail() {
    printf 'apply.sh: %s\n' "$*" >&2
    exit 1
}

usage() {
    sed -n '4,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

reverse=
qemu=
for word in "$@"; do
    case $word in
    -h | --help)
        usage
        exit 0
        ;;
    --reverse) reverse=1 ;;
    -*) fail "there is no option $word; allowed: --reverse, --help" ;;
    *)
        [[ -z $qemu ]] || fail "one PATH, please: $qemu or $word?"
        qemu=$word
        ;;
    esac
done
[[ -n $qemu ]] || fail 'PATH of a QEMU source tree is missing'
[[ -f $qemu/VERSION && -f $qemu/system/physmem.c || -f $qemu/softmmu/physmem.c ]] ||
    fail "$qemu is no QEMU source tree (no VERSION and physmem.c in it)"

version=$(<"$qemu/VERSION")
known=$(cd "$here/patches" && for name in *.patch; do printf '%s\n' "${name%.patch}"; done)
patch=$here/patches/$(cut -d. -f1,2 <<<"$version").patch
[[ -f $patch ]] || fail "$qemu is QEMU $version; there are patches for ${known//$'\n'/, }"

# The new files, as paths in the tree.
mapfile -t files < <(cd "$here/tree" && find . -type f ! -name '.*' -printf '%P\n' | sort)

run_patch() {
    patch -d "$qemu" -p1 --force --quiet --no-backup-if-mismatch --reject-file=- "$@" <"$patch"
}

add_files() {
    local name
    for name in "${files[@]}"; do
        mkdir -p "$qemu/$(dirname "$name")"
        cp "$here/tree/$name" "$qemu/$name"
    done
}

remove_files() {
    local name
    for name in "${files[@]}"; do
        rm -f "$qemu/$name"
        rmdir --ignore-fail-on-non-empty "$qemu/$(dirname "$name")"
    done
}

if [[ -n $reverse ]]; then
    [[ -f $qemu/${files[0]} ]] || fail "$qemu does not have ${files[0]}: nothing to undo"
    output=$(run_patch --reverse --dry-run 2>&1) ||
        fail "the patch can't be undone, the files were changed since:"$'\n'"$output"
    run_patch --reverse
    remove_files
    printf 'memory-backend-uffdmm is taken out of QEMU %s\n' "$version"
    exit 0
fi

for name in "${files[@]}"; do
    [[ ! -e $qemu/$name ]] || fail "$qemu has $name already; --reverse undoes an earlier patch"
done
add_files
if ! output=$(run_patch --dry-run 2>&1); then
    remove_files
    fail "patches/${patch##*/} does not fit QEMU $version in $qemu:"$'\n'"$output"
fi
run_patch
printf 'memory-backend-uffdmm is added to QEMU %s\n' "$version"
