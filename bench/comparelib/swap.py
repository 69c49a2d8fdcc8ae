# SPDX-License-Identifier: BSD-3-Clause
"""Kernel swap for the time of a block, and how much memory it takes outside of a control group.

    with zram_swap(journal, size) as swap:
        ... swap.held(group) ...

Each yields an object with `held(group)`: bytes of host memory that hold swapped pages and are not
in group.usage(), and `note`: what was set up, in a few words.
"""
import contextlib
import os
import stat
import subprocess

from .knobs import fields_of, read_knob, write_knob

ZSWAP = "/sys/module/zswap/parameters"
PRIORITY = 32767


class Swap:
    """`held` is a function of the control group; `uncharged`: it may be more than 0."""

    def __init__(self, note, held=None):
        self.note = note
        self.uncharged = held is not None
        self.held = held or (lambda _group: 0)


def command(*words):
    """Runs a tool; its output is shown only if it fails."""
    done = subprocess.run(words, capture_output=True, text=True, check=False,
                          start_new_session=True)
    if done.returncode != 0:
        raise OSError(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")


@contextlib.contextmanager
def swap_on(journal, path):
    """Swap on a file or device that exists."""
    command("mkswap", path)
    with journal.change("swapon", path):
        command("swapon", "-p", str(PRIORITY), path)
        yield


def device_node(number):
    """Path of /dev/zramN, made here where no device manager does it."""
    path = f"/dev/zram{number}"
    if not os.path.exists(path):
        major, minor = map(int, read_knob(f"/sys/block/zram{number}/dev").split(":"))
        os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(major, minor))
    return path


def zram_memory(number):
    """Bytes the device takes: mem_used_total of mm_stat."""
    return int(read_knob(f"/sys/block/zram{number}/mm_stat").split()[2])


@contextlib.contextmanager
def zram_swap(journal, size, algorithm="lz4"):
    """Swap on a new zram device that can hold `size` bytes of pages."""
    number = int(read_knob("/sys/class/zram-control/hot_add"))
    with journal.change("zram", number):
        write_knob(f"/sys/block/zram{number}/comp_algorithm", algorithm)
        write_knob(f"/sys/block/zram{number}/disksize", size)
        with swap_on(journal, device_node(number)):
            yield Swap(f"zram, {algorithm}", lambda _group: zram_memory(number))


@contextlib.contextmanager
def file_swap(journal, size, directory="/var/tmp"):
    """Swap on a new file."""
    path = f"{directory}/uffdmm-compare-{os.getpid()}.swap"
    with journal.change("unlink", path):
        with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
        with swap_on(journal, path):
            yield Swap(f"swap file in {directory}")


def zswap_memory(group):
    """Bytes of zswap's pool, without those that the group is charged for."""
    pool = fields_of("/proc/meminfo", ":").get("Zswap", 0) << 10
    return max(0, pool - group.charged_zswap())


def zswap_cap(percent=1, meminfo="/proc/meminfo"):
    """Most bytes the pool takes with max_pool_percent as it is."""
    return fields_of(meminfo, ":")["MemTotal"] * 1024 * percent // 100


@contextlib.contextmanager
def knob(journal, path, value):
    """Another value for the time of the block."""
    old = read_knob(path)
    with journal.change("write", path, old):
        if old != str(value):
            write_knob(path, value)
        yield


@contextlib.contextmanager
def zswap_compressor(journal):
    """The best compressor this kernel has; yields its name."""
    path = f"{ZSWAP}/compressor"
    old = read_knob(path)
    with journal.change("write", path, old):
        for name in ("lz4", "lzo-rle", "lzo"):
            with contextlib.suppress(OSError):
                write_knob(path, name)
                if read_knob(path) == name:
                    break
        yield read_knob(path)


@contextlib.contextmanager
def zswap_swap(journal, size, directory="/var/tmp", percent=1):
    """zswap in front of a new swap file; its pool takes at most `percent` of the machine."""
    with contextlib.ExitStack() as stack:
        name = stack.enter_context(zswap_compressor(journal))
        stack.enter_context(knob(journal, f"{ZSWAP}/max_pool_percent", percent))
        stack.enter_context(knob(journal, f"{ZSWAP}/enabled", "Y"))
        stack.enter_context(file_swap(journal, size, directory))
        yield Swap(f"zswap, {name}, in front of a swap file in {directory}", zswap_memory)
