# SPDX-License-Identifier: BSD-3-Clause
"""Parts of bench/vm/run: a guest on kernel swap and on the library, at equal memory.

bench/comparelib has what sets swap and control groups up and undoes it, examples/vm/uffdmm_vm the
guest and QEMU.
"""
