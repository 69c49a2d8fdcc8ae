# SPDX-License-Identifier: BSD-3-Clause
"""Whether a cell's contents fit in memory at all: arithmetic on both sides alike."""

# Allocators of compressed pages lose a few percent to size classes (zsmalloc, the RAM tier).
ALLOCATOR = 1.05
# With less than this share of the limit for uncompressed pages, nothing but thrashing is measured.
LEAST_RESIDENT = 0.1


def compressed_share(cell):
    """Size of all contents, compressed, in limits. Same-filled pages take none."""
    ratio = max(1.0, cell.compressibility / ALLOCATOR)
    return cell.factor * (1 - cell.same_filled / 100) / ratio


def resident_share(cell):
    """Share of the limit left for resident pages where the others are compressed in the rest.

    With c = compressed size / size: x + (region - x) * c = limit.
    """
    if cell.factor <= 1:
        return cell.factor
    size = compressed_share(cell) / cell.factor
    if size >= 1:
        return 0.0
    return max(0.0, (1 - cell.factor * size) / (1 - size))


def does_not_fit(cell):
    """Why the cell cannot run, or None. Only RAM-only chains can be too small."""
    if cell.rival != "zram" or resident_share(cell) >= LEAST_RESIDENT:
        return None
    return (f"does not fit: {cell.factor:g} limits of memory at {cell.compressibility:g}:1 "
            f"take {compressed_share(cell):.2f} limits compressed")
