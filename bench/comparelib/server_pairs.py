# SPDX-License-Identifier: BSD-3-Clause
"""One pair of runs of a server: kernel swap, then the library, at the same memory."""
import contextlib
import dataclasses
import json
import os

from . import swap
from .ballast import Ballast
from .cgroup import memory_group
from .controller import MemoryWatch
from .servers import SERVERS, managed_command
from .serving import Client, keys_for, serve
from .sides import whole_mib
from .sizes import MIB

RIVALS = ("zram", "disk")


@dataclasses.dataclass(frozen=True)
class ServerSetting:
    """What holds for all pairs. Sizes in bytes, times in seconds. `programs`: the build folder."""
    programs: str
    limit: int
    factor: float = 2
    directory: str = "/var/tmp"
    warmup: float = 2
    seconds: float = 5
    set_percent: int = 10
    seed: int = 1

    @property
    def data(self):
        """Bytes of values."""
        return whole_mib(self.factor * self.limit)


def socket_path():
    """One per run of this program."""
    return f"/tmp/uffdmm-compare-{os.getpid()}.socket"


def tiers_of(rival, setting):
    """The library's tiers that match the rival."""
    if rival == "zram":
        return [f"ram:{setting.limit * 9 // 10 // MIB}M"]
    return [f"file:{setting.directory}:{2 * setting.data // MIB}M"]


def swap_of(rival, setting, journal):
    """The rival's, as a context manager."""
    if rival == "zram":
        return swap.zram_swap(journal, 2 * setting.data)
    return swap.file_swap(journal, 2 * setting.data, setting.directory)


def client_of(name, setting):
    """The load for a server."""
    return Client(setting.programs, name, socket_path(), keys_for(setting.data))


def kernel_run(name, rival, setting, journal):
    """The server on plain memory."""
    command = SERVERS[name].command(socket_path(), setting.data, False)
    with contextlib.ExitStack() as stack:
        area = stack.enter_context(swap_of(rival, setting, journal))
        group = stack.enter_context(memory_group(journal))
        ballast = None
        if area.uncharged:
            program = f"{setting.programs}/bench/compare-ballast"
            ballast = stack.enter_context(Ballast(group, program))
        beside = group.usage()
        watch = MemoryWatch(group, area.held, setting.limit, ballast)
        done = serve(watch, command, client_of(name, setting), setting)
        return {**done, "program_base": done["base"] - beside, "command": command}


def library_run(name, rival, setting, journal, base):
    """The server under uffdmm-run, in a group without a limit: the same meter."""
    stats = f"{socket_path()}.json"
    command = managed_command(SERVERS[name], setting.programs, socket_path(), setting.limit,
                              setting.data, tiers_of(rival, setting), stats)
    with journal.change("unlink", stats):
        with memory_group(journal) as group:
            watch = MemoryWatch(group, lambda _group: 0)
            done = serve(watch, command, client_of(name, setting), setting, base)
        with open(stats, encoding="utf-8") as file:
            return {**done, "command": command, "statistics": json.load(file)}


def run_pair(name, rival, setting, journal):
    """{"rival": ..., "library": ...}."""
    kernel = kernel_run(name, rival, setting, journal)
    return {"rival": kernel,
            "library": library_run(name, rival, setting, journal, kernel["program_base"])}
