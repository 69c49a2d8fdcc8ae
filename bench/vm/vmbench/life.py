# SPDX-License-Identifier: BSD-3-Clause
"""A guest's life while it is measured, the same on both sides."""
import contextlib
import dataclasses
import time

from comparelib.controller import memory_figures
from comparelib.knobs import write_knob
from uffdmm_vm import Machine

from .setting import PATTERNS


@dataclasses.dataclass
class Life:
    """`boot`: seconds until the guest takes commands. `rates`: {phase: pages a second}, by the
    guest's clock. `memory`: {phase: what comparelib's memory_figures says}."""
    boot: float
    rates: dict
    memory: dict


@contextlib.contextmanager
def started(setting, image, way, enter=None):
    """(machine, seconds it took to boot)."""
    begin = time.monotonic()
    with Machine(image, way, memory=setting.memory_text, cpus=setting.cpus, enter=enter) as vm:
        # Where a control group runs out of memory this is what fails, not what stands beside it.
        write_knob(f"/proc/{vm.process.pid}/oom_score_adj", 1000)
        vm.wait_ready()
        yield vm, time.monotonic() - begin


def rate(answer):
    """Pages a second."""
    return answer.number("pages") / answer.number("seconds")


def lives(vm, boot, setting, region, *, rival="", watch=None):
    """Fills so many bytes as suits the rival, and goes through the patterns."""
    life = Life(boot, {}, {})
    threads = f"threads={setting.cpus}"

    def phase(name, command):
        begin = time.monotonic()
        life.rates[name] = rate(vm.ask(f"{command} {threads}"))
        if watch:
            life.memory[name] = memory_figures(watch.between(begin, time.monotonic()), watch.base)
    vm.ask(setting.mix(rival))
    phase("fill", f"fill {region >> 20}M")
    for pattern in PATTERNS:
        touch = f"touch {pattern} writes={setting.writes}"
        vm.ask(f"{touch} seconds={setting.warmup} {threads}")
        phase(pattern, f"{touch} seconds={setting.seconds}")
    return life


def verify(vm, setting):
    """What is fast has to be right as well."""
    bad = vm.ask(f"verify threads={setting.cpus}").bad
    if bad:
        raise AssertionError(f"{bad} wrong pages")
