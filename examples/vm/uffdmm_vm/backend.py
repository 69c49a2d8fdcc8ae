# SPDX-License-Identifier: BSD-3-Clause
"""memory-backend-uffdmm at run time (way Backend)."""
OBJECT = "/objects/ram0"


def backend_statistics(vm, path=OBJECT):
    """The library's statistics, by the names of qapi/uffdmm.json with underscores."""
    found = vm.qmp.command("qom-get", path=path, property="stats")
    return {key.replace("-", "_"): value for key, value in found.items()}


def tier_reads(library):
    """Pages that were brought in from tiers; what a migration reads there does not count."""
    return sum(tier["reads"] for tier in library["tiers"])


def set_limit(vm, size):
    """Returns when it holds."""
    vm.qmp.command("qom-set", path=OBJECT, property="limit", value=size)


def set_migrate_locations(vm, value):
    """Whether the next migration sends where pages in a shared tier are."""
    vm.qmp.command("qom-set", path=OBJECT, property="migrate-locations", value=value)
