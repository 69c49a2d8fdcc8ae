# SPDX-License-Identifier: BSD-3-Clause
"""The key-value servers that bench/compare-programs measures, as the distribution builds them."""
import dataclasses

from .sizes import MIB

MEAN_VALUE = 2560  # bytes: compare-keys makes 1 to 4 KiB


@dataclasses.dataclass(frozen=True)
class Server:
    """`threshold`: from which size on its mappings are managed. `room`: address space for its
    data, as a share of the data."""
    name: str
    package: str
    threshold: str
    room: float

    def command(self, socket, data, managed):
        """To serve `data` bytes of values at a unix socket."""
        if self.name == "redis":
            return ["redis-server", "--port", "0", "--unixsocket", socket, "--save", "",
                    "--appendonly", "no", "--daemonize", "no", "--logfile", "/dev/null"]
        # -L allocates all of it at once; without it the C library maps it in pieces, unseen.
        return ["memcached", "-s", socket, "-u", "root", "-t", "1", "-m",
                str(self.address_space(data) // MIB), *(["-L"] if managed else [])]

    def address_space(self, data):
        """Bytes."""
        return round(self.room * data / MIB) * MIB


SERVERS = {
    "redis": Server("redis", "redis-server", "1M", 2.0),
    "memcached": Server("memcached", "memcached", "32M", 1.5),
}


def managed_command(server, programs, socket, limit, data, tiers, stats):
    """The server under uffdmm-run."""
    # What comes on top of memcached's own figure is carved from the same area.
    area = server.address_space(data) + 16 * MIB
    return [f"{programs}/shim/uffdmm-run", "--limit", f"{limit // MIB}M",
            *[word for tier in tiers for word in ("--tier", tier)],
            "--threshold", server.threshold, "--area", f"{area // MIB}M", "--stats", stats, "--",
            *server.command(socket, data, True)]
