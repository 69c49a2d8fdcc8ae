# SPDX-License-Identifier: BSD-3-Clause
"""A server in a memory control group under load, with meters read around the part that counts."""
import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time

from . import cpu
from .controller import memory_figures
from .knobs import read_knob, write_knob
from .load import LoadFailed
from .servers import MEAN_VALUE

SECONDS_TO_START = 20
SECONDS_TO_FILL = 180


@contextlib.contextmanager
def running(group, command, socket):
    """The server's process, once it listens."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        with subprocess.Popen(group.enter_command(command), stdout=subprocess.DEVNULL,
                              stderr=errors, start_new_session=True) as process:
            try:
                write_knob(f"/proc/{process.pid}/oom_score_adj", 1000)
                wait_for(process, socket, errors)
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(socket)


def wait_for(process, socket, errors):
    """Until the socket is there."""
    for _ in range(SECONDS_TO_START * 20):
        if os.path.exists(socket):
            time.sleep(0.2)
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    errors.seek(0)
    raise LoadFailed(f"{process.args[-1]} does not start: {errors.read().strip()[-400:]}", False)


class Client:
    """compare-keys, and redis-benchmark where it fits."""

    def __init__(self, programs, server, socket, keys, connections=4):
        self.start = [f"{programs}/bench/compare-keys", server, socket]
        self.socket = socket
        self.keys = keys
        self.connections = connections

    def call(self, *words, seconds):
        """Its line of figures."""
        done = subprocess.run([*self.start, *map(str, words)], capture_output=True, text=True,
                              check=False, timeout=seconds)
        if done.returncode != 0:
            raise LoadFailed(done.stderr.strip(), False)
        return json.loads(done.stdout)

    def fill(self):
        """Sets every key once."""
        return self.call("fill", self.keys, self.connections, seconds=SECONDS_TO_FILL)

    def run(self, seconds, set_percent, seed):
        """Random keys for a time."""
        return self.call("run", self.keys, self.connections, seconds, set_percent, seed,
                         seconds=seconds + SECONDS_TO_FILL)

    def redis_benchmark(self, requests):
        """GET of random keys by Redis' own tool."""
        done = subprocess.run(
            ["redis-benchmark", "-s", self.socket, "-t", "get", "-r", str(self.keys), "-n",
             str(requests), "-c", str(self.connections), "--csv"],
            capture_output=True, text=True, check=True, timeout=SECONDS_TO_FILL)
        names, values = [[word.strip('"') for word in line.split(",")]
                         for line in done.stdout.strip().splitlines()[-2:]]
        figures = dict(zip(names, values))
        return {"operations": requests, "per_second": float(figures["rps"]),
                "p50_us": float(figures["p50_latency_ms"]) * 1e3,
                "p99_us": float(figures["p99_latency_ms"]) * 1e3, "wrong": 0, "missing": 0}


def process_cpu(process):
    """Seconds of all its threads so far."""
    return cpu.parse_thread(read_knob(f"/proc/{process.pid}/stat"))[0]


def metered(process, watch, load):
    """The load's figures, with CPU seconds of the server and of kernel threads, and memory."""
    begin, spent, kernel = time.monotonic(), process_cpu(process), cpu.kernel_thread_seconds()
    figures = load()
    if process.poll() is not None:
        raise LoadFailed("the server is gone", watch.group.oom_kills() > 0)
    figures["cpu_server"] = process_cpu(process) - spent
    figures["cpu_kernel_threads"] = cpu.spent_between(kernel, cpu.kernel_thread_seconds())
    figures["memory"] = memory_figures(watch.between(begin, time.monotonic()), watch.base)
    return figures


def serve(watch, command, client, setting, base=None):
    """Figures by phase. `base`: bytes in the group without data, measured where None."""
    try:
        return phases_of(watch, command, client, setting, base)
    except (LoadFailed, OSError, subprocess.SubprocessError) as failure:
        if watch.group.oom_kills() > 0:
            raise LoadFailed("the kernel killed it: out of memory", True) from failure
        raise


def phases_of(watch, command, client, setting, base):
    """Does the work of serve()."""
    with watch, running(watch.group, command, client.socket) as process:
        watch.set_base(watch.group.usage() if base is None else base)
        phases = {"fill": metered(process, watch, client.fill)}
        client.run(setting.warmup, setting.set_percent, setting.seed)
        phases["mixed"] = metered(process, watch, lambda: client.run(
            setting.seconds, setting.set_percent, setting.seed + 1))
        if "redis" in client.start:
            requests = int(phases["mixed"]["per_second"] * setting.seconds)
            phases["redis-benchmark"] = metered(
                process, watch, lambda: client.redis_benchmark(max(1000, requests)))
        if watch.error:
            raise LoadFailed(str(watch.error), False)
        return {"phases": phases, "base": watch.base}


def keys_for(data):
    """So that their values are as large together."""
    return round(data / MEAN_VALUE)
