# SPDX-License-Identifier: BSD-3-Clause
"""Parts of bench/compare: kernel swap and the library on the same workload, at equal memory."""
