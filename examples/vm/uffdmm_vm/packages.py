# SPDX-License-Identifier: BSD-3-Clause
"""Files of distribution packages that are not to be installed, kept unpacked in a cache folder.

Works without root: apt fetches for everybody, and where its lists are missing or too old it gets
lists of its own in the cache folder.
"""
import contextlib
import fcntl
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

QUIET = ("-qq", "-o", "APT::Sandbox::User=root")


class Unobtainable(RuntimeError):
    """Something that the guest needs is not here and cannot be fetched."""


def cache_folder(*parts):
    """A folder of the cache, made if need be."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = pathlib.Path(base, "uffdmm", *parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def cache_lock():
    """One process at a time changes the cache."""
    with open(cache_folder("guest") / "lock", "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(command, **options):
    """Its output. Raises Unobtainable with what it said, if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    except FileNotFoundError as error:
        raise Unobtainable(f"{command[0]} is not here: a system without apt?") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        raise Unobtainable(f"{command[0]} could not do it: {' '.join(said)}")
    return done.stdout


class Apt:
    """The system's apt, with its lists or with private ones."""

    def __init__(self, private=False):
        self.options = list(QUIET)
        if private:
            state, cache = cache_folder("apt", "state"), cache_folder("apt", "cache")
            (state / "lists" / "partial").mkdir(parents=True, exist_ok=True)
            (cache / "archives" / "partial").mkdir(parents=True, exist_ok=True)
            self.options += ["-o", f"Dir::State={state}", "-o", f"Dir::Cache={cache}",
                             "-o", "Dir::State::Status=/var/lib/dpkg/status"]
            run(["apt-get", *self.options, "update"])

    def dependency(self, package, pattern):
        """The package that a meta package stands for."""
        said = run(["apt-cache", *self.options[1:], "depends", package])
        found = re.search(rf"Depends: ({pattern})\s", said + "\n")
        if not found:
            raise Unobtainable(f"no package like {pattern} is known to apt")
        return found[1]

    def download(self, package, folder):
        """The path of its archive."""
        run(["apt-get", *self.options, "download", package], cwd=folder)
        return next(pathlib.Path(folder).glob("*.deb"))


def unpack(apt, package, target):
    """Puts a package's files into the folder, all or nothing."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        archive = apt.download(package, folder)
        run(["dpkg", "-x", str(archive), f"{folder}/files"])
        if target.exists():
            shutil.rmtree(target)
        os.rename(f"{folder}/files", target)


def fetched(name, work):
    """The folder `name` of the cache, made by work(apt, folder) if it is not there."""
    folder = cache_folder("guest") / name
    with cache_lock():
        if folder.exists():
            return folder
        try:
            work(Apt(), folder)
        except Unobtainable:
            work(Apt(private=True), folder)
    return folder
