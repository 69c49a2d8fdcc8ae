/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the parts of memory-backend-uffdmm share
 */

#ifndef QEMU_BACKENDS_HOSTMEM_UFFDMM_H
#define QEMU_BACKENDS_HOSTMEM_UFFDMM_H

#include <uffdmm.h>
#include "system/ramblock-pager.h"

/* The region of the backend that @rb is the memory of. */
uffdmm_region *uffdmm_backend_region(RAMBlock *rb);

/* hostmem-uffdmm-migration.c: callbacks of the pager */
void *uffdmm_pager_save_begin(RAMBlock *rb, Error **errp);
int uffdmm_pager_save_page(void *handle, uint64_t offset, const void **data,
                     Error **errp);
void uffdmm_pager_save_end(void *handle, bool completed);
void *uffdmm_pager_load_begin(RAMBlock *rb, Error **errp);
int uffdmm_pager_load_data(void *handle, uint64_t offset, size_t length,
                     const void *data, Error **errp);
int uffdmm_pager_load_zero(void *handle, uint64_t offset, size_t length,
                     Error **errp);
int uffdmm_pager_load_flush(void *handle, Error **errp);
void uffdmm_pager_load_end(void *handle);

#endif
