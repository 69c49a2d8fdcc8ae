#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""check_control.py UFFDMM_RUN PROGRAM: a program under control by --control and --ask: before it
has memory, while it has, as a daemon, and after it has died."""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile

run, program = sys.argv[1:]
MIB = 1 << 20


def ask(path, *words):
    """Exit status, answer and complaint."""
    done = subprocess.run([run, "--ask", path, *words], capture_output=True, text=True, check=False,
                          timeout=60)
    return done.returncode, done.stdout and json.loads(done.stdout), done.stderr


def result(path, *words):
    """Of a request that succeeds."""
    status, answer, complaint = ask(path, *words)
    assert status == 0 and not complaint, (status, answer, complaint)
    return answer


class Program:
    """Under uffdmm-run, talked to line by line."""

    def __init__(self, path, *arguments, wrapper=()):
        words = [run, "--limit", "64M", "--threshold", "8M", "--control", path,
                 "--tier", "ram:4M", "--tier", f"file:{tempfile.gettempdir()}:256M",
                 "--", *wrapper, program, *arguments]
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.expect("started")

    def expect(self, word):
        """The next line."""
        line = self.process.stdout.readline()
        assert line == word + "\n", (line, self.process.stderr.read() if not line else "")

    def tell(self, expected):
        """A line, and what comes of it."""
        self.process.stdin.write("go on\n")
        self.process.stdin.flush()
        self.expect(expected)

    def end(self):
        """By the end of its input."""
        _, complaints = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, complaints
        return complaints


def check_commands(path):
    """One program's whole life."""
    running = Program(path)
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert result(path, "limit") == {"limit_bytes": 64 * MIB}
    assert result(path, "list") == {"regions": []}
    assert result(path, "limit", "32M") == {"limit_bytes": 32 * MIB}
    assert result(path, "stats")["library"]["limit_bytes"] == 32 * MIB
    running.tell("filled")
    figures = result(path, "stats")
    assert figures["interception"]["mappings"] == 1, figures
    assert 0 < figures["library"]["host_memory_bytes"] <= 1.1 * 32 * MIB, figures
    assert result(path, "limit 16M") == {"limit_bytes": 16 * MIB}
    assert result(path, "stats")["library"]["host_memory_bytes"] <= 1.1 * 16 * MIB
    region, = result(path, "list")["regions"]
    states = [region[f"{state}_bytes"] for state in ("untouched", "resident", "staged", "swapped",
                                                     "poisoned")]
    assert sum(states) == region["bytes"] and region["swapped_bytes"] > 30 * MIB, region
    running.tell("verified")
    assert result(path, "evict", region["name"])["evicted_bytes"] > 0
    assert result(path, "list")["regions"][0]["resident_bytes"] == 0
    running.tell("verified")
    assert result(path, '{"command": "evict"}')["evicted_bytes"] > 0
    check_refusals(path)
    running.tell("verified")
    running.end()
    assert not os.path.exists(path)


def check_refusals(path):
    """Each names what is allowed."""
    for words, said, status in (
            (["evict", "area99"], "list", 1), (["limit", "1M"], "4M or more", 1),
            (['{"command": "limits"}'], "limit", 1), (['{"command"'], "line 1", 1),
            (["limit", "huge"], "huge", 1), (["stop"], "stats, limit, limit SIZE", 2),
            (["stats", "now"], "stats, limit, limit SIZE", 2)):
        got, answer, complaint = ask(path, *words)
        assert got == status and not answer and said in complaint, (words, got, answer, complaint)


def check_daemon(path):
    """The child goes on where the parent ends."""
    running = Program(path, "daemon")
    running.process.wait(60)
    running.tell("filled")
    assert result(path, "stats")["interception"]["mappings"] == 1
    result(path, "limit", "16M")
    running.tell("verified")
    blocked, = [re.search(r"SigBlk:\s*(\w+)", status)[1] for status in thread_states(path)]
    assert int(blocked, 16) & (1 << (signal.SIGTERM - 1)), blocked
    running.process.stdin.close()
    running.process.stdout.read()
    assert not os.path.exists(path)


def check_wrapped(path):
    """The program that a script starts takes the socket over when it has memory."""
    running = Program(path, wrapper=("sh", "-c", '"$0"; exit 0'))
    assert result(path, "list") == {"regions": []}
    running.tell("filled")
    assert result(path, "stats")["interception"]["mappings"] == 1
    assert len(result(path, "list")["regions"]) == 1
    running.tell("verified")
    assert "manages the memory of process" in running.end()
    assert not os.path.exists(path)


def thread_states(path):
    """/proc status of the control thread of the process that serves the socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    pid = int.from_bytes(credentials[:4], sys.byteorder)
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status", encoding="ascii") as file:
            status = file.read()
        if "uffdmm-control" in status:
            yield status


def check_left_socket(path):
    """One that a killed program left is replaced, one that is served is not."""
    killed = Program(path)
    refused = subprocess.run([run, "--control", path, "--", "true"], capture_output=True, text=True,
                             check=False, timeout=60)
    assert refused.returncode == 125 and "another process serves it" in refused.stderr, refused
    assert result(path, "limit") == {"limit_bytes": 64 * MIB}
    killed.process.kill()
    killed.process.communicate()
    assert os.path.exists(path)
    status, _, complaint = ask(path, "stats")
    assert status == 2 and path in complaint, complaint
    running = Program(path)
    result(path, "stats")
    running.tell("filled")
    running.end()


def check_elsewhere(folder):
    """A path that is relative, and one that cannot be."""
    before = os.getcwd()
    os.chdir(folder)
    running = Program("here")
    os.chdir(before)
    result(f"{folder}/here", "stats")
    running.tell("filled")
    running.end()
    failed = subprocess.run([run, "--control", "/nonexistent/socket", "--", "true"],
                            capture_output=True, text=True, check=False, timeout=60)
    assert failed.returncode == 125 and "/nonexistent/socket" in failed.stderr, failed


run, program = os.path.abspath(run), os.path.abspath(program)
with tempfile.TemporaryDirectory() as place:
    check_commands(f"{place}/commands")
    check_daemon(f"{place}/daemon")
    check_wrapped(f"{place}/wrapped")
    check_left_socket(f"{place}/left")
    check_elsewhere(place)
