# SPDX-License-Identifier: BSD-3-Clause
"""What the comparison needs of a machine, and what machine it is."""
import os
import re
import shutil
import subprocess

from .cgroup import find_hierarchy
from .swap import ZSWAP
from .undo import swap_areas


HALT_POLL = "/sys/module/haltpoll/parameters/guest_halt_poll_ns"
CPUIDLE = "/sys/devices/system/cpu/cpuidle"


def can_halt_poll():
    """Whether the kernel decides by HALT_POLL when an idle CPU halts."""
    return (first_line(f"{CPUIDLE}/current_governor", r"(\w+)") == "haltpoll"
            and first_line(f"{CPUIDLE}/current_driver", r"(\w+)") not in ("?", "none"))


def halt_poll_us():
    """How long an idle virtual CPU polls before it halts; None where that is not for the kernel to
    say. Waking one that polls takes no interrupt."""
    return int(first_line(HALT_POLL, r"(\d+)")) // 1000 if can_halt_poll() else None


def has_zram():
    """Whether zram devices can be made; loads the module if it is one."""
    if not os.path.exists("/sys/class/zram-control/hot_add") and shutil.which("modprobe"):
        subprocess.run(["modprobe", "zram", "num_devices=0"], capture_output=True, check=False)
    return os.path.exists("/sys/class/zram-control/hot_add")


def zram_has_lz4():
    """Whether some zram device offers lz4; true where there is none to ask."""
    paths = [f"/sys/block/{name}/comp_algorithm" for name in os.listdir("/sys/block")
             if name.startswith("zram")]
    return not paths or any("lz4" in open(path, encoding="ascii").read() for path in paths)


def lacks(rivals, areas=None, sets_halt_poll=False):
    """What is missing, as sentences: empty where everything is there."""
    areas = swap_areas() if areas is None else areas
    if sets_halt_poll and not can_halt_poll():
        yield f"the cpuidle governor haltpoll in use ({CPUIDLE}), or no --halt-poll"
    if os.geteuid() != 0:
        yield "root: swap, zram and control groups are set up by nobody else"
    if not find_hierarchy():
        yield "a memory control group hierarchy (cgroup v1 or v2) that is mounted"
    if areas:
        yield f"no other swap, so as not to disturb or use it (swapoff {' '.join(areas)})"
    for tool in ("mkswap", "swapon", "swapoff"):
        if not shutil.which(tool):
            yield f"{tool} (package util-linux)"
    if "zram" in rivals and not (has_zram() and zram_has_lz4()):
        yield "zram with lz4 (CONFIG_ZRAM, CONFIG_ZRAM_BACKEND_LZ4), or --cells without zram/*"
    if "zswap" in rivals and not os.path.exists(f"{ZSWAP}/enabled"):
        yield "zswap (CONFIG_ZSWAP), or --cells without zswap/*"


def first_line(path, pattern):
    """The first group of the pattern in a file, or a question mark."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            found = re.search(pattern, file.read(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else "?"


def describe(directory, halt_poll=None):
    """Facts that results depend on. `halt_poll`: what the runs set it to, in microseconds."""
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        virtual = re.search(r"^flags.*\bhypervisor\b", file.read(), re.MULTILINE)
    kind = subprocess.run(["findmnt", "-n", "-o", "FSTYPE", "-T", directory], capture_output=True,
                          text=True, check=False).stdout.strip()
    return {
        "cpu": first_line("/proc/cpuinfo", r"^model name\s*: (.*)$"),
        "cpus": os.cpu_count(),
        "virtual": bool(virtual),
        "memory_gib": round(int(first_line("/proc/meminfo", r"^MemTotal:\s*(\d+)")) / (1 << 20)),
        "kernel": os.uname().release.split("-")[0],
        "huge_pages": first_line("/sys/kernel/mm/transparent_hugepage/enabled", r"\[(\w+)\]"),
        "cgroup": find_hierarchy()[1] if find_hierarchy() else None,
        "page_cluster": first_line("/proc/sys/vm/page-cluster", r"(\d+)"),
        "mglru": first_line("/sys/kernel/mm/lru_gen/enabled", r"(\w+)") not in ("?", "0x0000"),
        "file_system": kind or "?",
        "cpuidle_driver": first_line(f"{CPUIDLE}/current_driver", r"(\w+)"),
        "halt_poll_us": halt_poll_us() if halt_poll is None else halt_poll,
        "load": os.getloadavg()[0],
    }


def describe_text(facts):
    """In one line."""
    halt_poll = facts.get("halt_poll_us")
    polls = "" if halt_poll is None else f"idle CPUs poll for {halt_poll} us before they halt, "
    if facts.get("cpuidle_driver") == "none":
        polls = "no cpuidle driver: idle CPUs halt at once, "
    return (f"{facts['cpu']}, {facts['cpus']} CPUs, {facts['memory_gib']} GiB, "
            f"{'virtualised' if facts['virtual'] else 'not virtualised'}, Linux {facts['kernel']}, "
            f"cgroup v{facts['cgroup']}, huge pages: {facts['huge_pages']}, page-cluster "
            f"{facts['page_cluster']}, "
            f"{'multi-generational' if facts['mglru'] else 'classic'} LRU, "
            f"{polls}swap file on {facts['file_system']}, load {facts['load']:.1f}")
