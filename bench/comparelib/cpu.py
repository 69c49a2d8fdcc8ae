# SPDX-License-Identifier: BSD-3-Clause
"""CPU seconds outside of the process that is measured."""
import contextlib
import os

from .knobs import read_knob

EXACT = "/sys/fs/cgroup/cpuacct/cpuacct.usage"
TICK = os.sysconf("SC_CLK_TCK")
KERNEL_THREAD = 0x00200000  # PF_KTHREAD


def parse_thread(text):
    """(seconds of CPU, whether it is a kernel thread) from the text of /proc/PID/stat."""
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK, bool(int(fields[6]) & KERNEL_THREAD)


def kernel_thread_seconds():
    """{pid: CPU seconds} of kernel threads: kswapd, workers of zswap and of block devices, ..."""
    seconds = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError):
            with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
                used, of_kernel = parse_thread(file.read())
            if of_kernel:
                seconds[name] = used
    return seconds


def spent_between(before, after):
    """Seconds that the threads in `after` spent since `before`; new ones count from their start."""
    return sum(used - before.get(pid, 0.0) for pid, used in after.items())


def parse_busy(text):
    """CPU seconds that were neither idle nor stolen, of all CPUs, from the text of /proc/stat."""
    ticks = list(map(int, text.split("\n", 1)[0].split()[1:9]))
    user, nice, system, _idle, _iowait, irq, softirq, _steal = ticks
    return (user + nice + system + irq + softirq) / TICK


def machine_busy_seconds(exact=EXACT):
    """CPU seconds of all tasks so far. Exact where a cpuacct hierarchy is mounted (cgroup v1);
    otherwise sampled at ticks, which misses what starts after one and ends before the next."""
    try:
        return int(read_knob(exact)) / 1e9
    except OSError:
        with open("/proc/stat", encoding="ascii") as file:
            return parse_busy(file.read())
