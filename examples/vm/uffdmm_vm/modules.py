# SPDX-License-Identifier: BSD-3-Clause
"""Modules of a kernel and what they depend on, read from the modules themselves."""
import re

WANTED = ("virtio_pci", "virtio_blk", "virtio_balloon", "virtio_mem")
DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")


def paths_of(folder):
    """{module: path} of all below a folder, by the names that the kernel uses."""
    return {path.stem.replace("-", "_"): path for path in folder.rglob("*.ko")}


def dependencies(path):
    """Modules that have to be loaded before."""
    found = DEPENDS.search(path.read_bytes())
    names = found[1].decode() if found else ""
    return [name.replace("-", "_") for name in names.split(",") if name]


def in_order(paths, wanted=WANTED):
    """The wanted modules and their dependencies, in the order to load them. What is not there is
    taken to be part of the kernel."""
    order = []

    def add(name):
        if name in order or name not in paths:
            return
        for needed in dependencies(paths[name]):
            add(needed)
        order.append(name)

    for name in wanted:
        add(name)
    return order
