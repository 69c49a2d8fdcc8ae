/* SPDX-License-Identifier: BSD-3-Clause
 * 256 MiB of guest RAM in 64 MiB of host memory: what a VMM does to use libuffdmm. */
#include <stdio.h>
#include <uffdmm.h>

#define MIB ((uint64_t)1 << 20)

int main(void) {
    struct uffdmm_manager_options budget;
    struct uffdmm_region_options ram;
    struct uffdmm_stats stats = {.struct_size = sizeof stats};
    uffdmm_manager* manager = NULL;
    uffdmm_region* region = NULL;
    int failed = uffdmm_manager_options_init(&budget, sizeof budget) != 0 ||
                 uffdmm_region_options_init(&ram, sizeof ram) != 0;
    budget.limit = 64 * MIB;
    ram.size = 256 * MIB;
    failed = failed || uffdmm_manager_create(&budget, &manager) != 0 ||
             uffdmm_manager_add_region(manager, &ram, &region) != 0;
    /* To the guest this is ordinary memory: give it to KVM_SET_USER_MEMORY_REGION. */
    uint64_t* guest = failed ? NULL : uffdmm_region_data(region);
    for (uint64_t at = 0; !failed && at < ram.size; at += UFFDMM_PAGE_SIZE)
        guest[at / sizeof *guest] = at;
    for (uint64_t at = 0; !failed && at < ram.size; at += UFFDMM_PAGE_SIZE)
        failed = guest[at / sizeof *guest] != at;
    if (failed || uffdmm_manager_stats(manager, &stats) != 0)
        fprintf(stderr, "embed: %s\n", uffdmm_last_error());
    else
        printf("%u MiB of guest RAM took at most %u MiB of host memory\n",
               (unsigned)(ram.size / MIB), (unsigned)(stats.peak_host_memory_bytes / MIB));
    uffdmm_manager_destroy(manager);
    return failed;
}
