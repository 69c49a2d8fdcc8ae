# SPDX-License-Identifier: BSD-3-Clause
"""What uffdmm-run tells of a QEMU that runs under it (way Runner), and what it can be asked for."""
import json
import socket

FILE = "stats.json"  # in the machine's folder, as is the socket: Runner tells uffdmm-run so
SOCKET = "control.sock"


def written(vm):
    """The statistics in the file, which after the end of QEMU are the last word."""
    with open(vm.folder / FILE, encoding="utf-8") as file:
        return json.load(file)


def ask(vm, command, timeout=60, **arguments):
    """What a request gives; shim/run/README.md lists them. Raises OSError where QEMU has ended,
    ValueError where the request is refused."""
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(timeout)
        control.connect(str(vm.folder / SOCKET))
        control.sendall(json.dumps({"command": command, **arguments}).encode() + b"\n")
        with control.makefile("r", encoding="utf-8") as lines:
            line = lines.readline()
    if not line:
        raise ConnectionError("uffdmm-run does not answer")
    answer = json.loads(line)
    if "error" in answer:
        raise ValueError(answer["error"])
    return answer["result"]


def statistics(vm):
    """As they are now."""
    return ask(vm, "stats")
