#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""check_under.py UFFDMM_RUN NAME ARGUMENT...: the program under uffdmm-run must exit with 0, have
its memory under management, and stay within the limit by the library's own count."""
import json
import subprocess
import sys
import tempfile

# Counters that must not be 0, by test.
EXPECTED = {
    "mapping": ["mappings"],
    "fixed": ["mappings", "refused"],
    "blocks": ["large_blocks"],
    "unmapping": ["mappings", "parts_unmapped", "moved"],
    "advice": ["mappings", "discards", "absorbed_advice", "absorbed_locks"],
    "child": ["mappings"],
    "threads": ["mappings", "large_blocks"],
    "shared": ["mappings", "discards", "absorbed_advice", "absorbed_preallocation", "refused"],
    "sharing": ["mappings", "refused"],
    "reserved": ["mappings", "absorbed_advice"],
    "daemon": ["mappings"],
}
# What must be said on standard error, by test.
SAID = {
    "advice": ["ignores MADV_HUGEPAGE (14)", "ignores MADV_WILLNEED (3)",
               "ignored on managed memory: MADV_WILLNEED 1 times, MADV_MERGEABLE 1 times, "
               "MADV_HUGEPAGE 1 times, 2 locks, 0 preallocations"],
    "sharing": ["/dev/vfio/7", "/dev/iommu", "/dev/vhost-vdpa-0", "/dev/infiniband/uverbs0",
                "/dev/udmabuf", "/dev/sev", "send \"memory\"", "VFIO_IOMMU_MAP_DMA",
                "IOMMU_IOAS_MAP", "KVM_MEMORY_ENCRYPT_REG_REGION",
                "a second mapping", "pread of \"memory\"", "pwrite of", "preadv of",
                "pwritev of", "sendfile of", "copy_file_range of", "splice of",
                "open \"memory\" again"],
}
run, name, *arguments = sys.argv[1:]
with tempfile.NamedTemporaryFile() as stats:
    done = subprocess.run([run, "--stats", stats.name, *arguments], check=False, timeout=240,
                          stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"exit status {done.returncode}: {done.stderr}")
    with open(stats.name, encoding="utf-8") as file:
        figures = json.load(file)
problems = [f"{counter} is 0" for counter in EXPECTED[name]
            if figures["interception"][counter] == 0]
problems += [f"standard error does not say {text}" for text in SAID.get(name, [])
             if text not in done.stderr]
library = figures["library"]
if library["faults"] == 0:
    problems.append("the library served no fault")
if library["peak_host_memory_bytes"] > 1.1 * library["limit_bytes"]:
    problems.append(f"{library['peak_host_memory_bytes']} bytes at the peak, with a limit of "
                    f"{library['limit_bytes']}")
if problems:
    sys.exit("\n".join([*problems, done.stderr, json.dumps(figures["interception"])]))
