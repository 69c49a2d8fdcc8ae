# SPDX-License-Identifier: BSD-3-Clause
"""QEMU's monitor."""
import json
import socket
import time


class QmpError(RuntimeError):
    """QEMU refused a command: its description."""


class Qmp:
    """One connection. Not thread-safe."""

    def __init__(self, path, timeout=30):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rw", encoding="utf-8")
        self.timeout = timeout
        self.events = []
        self.receive()
        self.command("qmp_capabilities")

    def receive(self):
        """The next message, an event or an answer."""
        line = self.file.readline()
        if not line:
            raise ConnectionError("QEMU closed its monitor")
        return json.loads(line)

    def command(self, name, **arguments):
        """What it returns. Underscores in names of arguments become hyphens."""
        asked = {key.replace("_", "-"): value for key, value in arguments.items()}
        self.file.write(json.dumps({"execute": name, "arguments": asked}) + "\n")
        self.file.flush()
        while True:
            message = self.receive()
            if "event" in message:
                self.events.append(message)
            elif "error" in message:
                raise QmpError(message["error"]["desc"])
            elif "return" in message:
                return message["return"]

    def wait_event(self, name, timeout=30):
        """The first event of that name that was not waited for yet."""
        end = time.monotonic() + timeout
        self.socket.settimeout(timeout)
        try:
            while True:
                for event in self.events:
                    if event["event"] == name:
                        self.events.remove(event)
                        return event
                if time.monotonic() > end:
                    raise TimeoutError(f"no event {name} in {timeout} s")
                message = self.receive()
                if "event" in message:
                    self.events.append(message)
        finally:
            self.socket.settimeout(self.timeout)

    def close(self):
        """Ends the connection."""
        self.file.close()
        self.socket.close()
