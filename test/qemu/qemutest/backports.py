# SPDX-License-Identifier: BSD-3-Clause
"""QEMU of Debian 12's backports beside the installed one, unpacked in the cache, not installed."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from uffdmm_vm.packages import QUIET, Unobtainable, cache_folder, cache_lock, run

RELEASE = "bookworm"
SUITE = f"{RELEASE}-backports"
VERSION = "10.0.2"
PACKAGES = ("qemu-system-x86", "qemu-system-common", "qemu-system-data")
PROGRAM = "usr/bin/qemu-system-x86_64"
LIBRARIES = "usr/lib/x86_64-linux-gnu"
FIRMWARE = ("usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu")
WRAPPER = """#!/bin/sh
LD_LIBRARY_PATH={libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}} exec {program} {firmware} "$@"
"""


def release():
    """The name of the system's Debian release."""
    said = pathlib.Path("/etc/os-release").read_text(encoding="utf-8")
    found = re.search(r'^VERSION_CODENAME="?(\w+)', said, re.MULTILINE)
    return found[1] if found else "unknown"


def mirror():
    """The Debian mirror that the machine uses."""
    named = os.environ.get("UFFDMM_DEBIAN_MIRROR")
    found = named or re.search(r"^'([^']*/debian)/+dists/[^/']+/InRelease'",
                               run(["apt-get", "update", "--print-uris"]), re.MULTILINE)
    if not found:
        raise Unobtainable("no Debian mirror among the machine's package sources")
    return named or found[1]


class Suite:
    """apt of that suite, with lists and files of its own in the folder."""

    def __init__(self, folder):
        self.folder = folder
        for part in ("lists/partial", "cache/archives/partial"):
            (folder / part).mkdir(parents=True)
        (folder / "suite.sources").write_text(
            f"Types: deb\nURIs: {mirror()}\nSuites: {RELEASE} {SUITE}\nComponents: main\n"
            "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n", encoding="ascii")
        self.options = [*QUIET[1:], "-o", f"Dir::Etc::SourceList={folder}/suite.sources",
                        "-o", "Dir::Etc::SourceParts=/dev/null", "-o",
                        f"Dir::State::Lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache",
                        "-o", "Acquire::Languages=none"]
        run(["apt-get", "-qq", *self.options, "update"])

    def unpack(self, package, target):
        """Puts its files there."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            run(["apt-get", "-qq", *self.options, "download", package], cwd=folder)
            run(["dpkg", "-x", str(next(pathlib.Path(folder).glob("*.deb"))), str(target)])

    def libraries(self, package):
        """Packages of libraries that it depends on."""
        said = run(["apt-cache", *self.options, "depends", "--important", package])
        return re.findall(r"^ *Depends: (lib[^\s<>]+)", said, re.MULTILINE)


def lacks_libraries(root):
    """Whether the program asks for some that are neither here nor in the system."""
    environment = {**os.environ, "LD_LIBRARY_PATH": f"{root}/{LIBRARIES}"}
    return "not found" in run(["ldd", str(root / PROGRAM)], env=environment)


def fetch(root):
    """All of it, or nothing."""
    with tempfile.TemporaryDirectory(dir=root.parent) as folder:
        new = pathlib.Path(folder, "root")
        suite = Suite(pathlib.Path(folder, "apt"))
        for package in PACKAGES:
            suite.unpack(f"{package}/{SUITE}", new)
        if lacks_libraries(new):
            for package in suite.libraries(f"{PACKAGES[0]}/{SUITE}"):
                suite.unpack(package, new)
        os.rename(new, root)


def backports_qemu():
    """A command that runs it. Raises Unobtainable."""
    if release() != RELEASE or os.uname().machine != "x86_64":
        raise Unobtainable(f"QEMU {VERSION} is fetched from {SUITE}, which is for x86-64 and not "
                           f"for {release()} on {os.uname().machine}")
    root = cache_folder("qemu-backports") / f"files-{VERSION}"
    with cache_lock():
        if not root.exists():
            fetch(root)
        firmware = [f"-L {root}/{FIRMWARE[0]}", *[f"-L /{folder}" for folder in FIRMWARE]]
        wrapper = root / "qemu"
        wrapper.write_text(WRAPPER.format(libraries=root / LIBRARIES, program=root / PROGRAM,
                                          firmware=" ".join(firmware)), encoding="ascii")
        wrapper.chmod(0o755)
    said = subprocess.run([wrapper, "--version"], stdout=subprocess.PIPE, text=True,
                          check=False).stdout
    if f"version {VERSION} " not in said:
        shutil.rmtree(root)
        raise Unobtainable(f"{SUITE} has {said.splitlines()[:1]}, not {VERSION}")
    return str(wrapper)
