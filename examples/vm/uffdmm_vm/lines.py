# SPDX-License-Identifier: BSD-3-Clause
"""What a guest says on a serial port, line by line, as it comes."""
import contextlib
import queue
import socket
import threading


class Lines:
    """A connection to a socket of QEMU; a thread reads it into `queue`, None at the end.

    `log`, a file object, gets every line as well; `told`, a function, is called with each in the
    thread.
    """

    def __init__(self, path, log=None, told=None):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.queue = queue.SimpleQueue()
        self.log = log
        self.told = told
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        """Until QEMU closes the port."""
        with self.socket.makefile("r", encoding="utf-8", errors="replace") as file, \
                contextlib.suppress(ConnectionError):
            for line in file:
                self.take(line.rstrip("\r\n"))
        self.queue.put(None)

    def take(self, line):
        """One line."""
        if self.log:
            self.log.write(line + "\n")
            self.log.flush()
        if self.told:
            self.told(line)
        self.queue.put(line)

    def send(self, line):
        """To the guest."""
        self.socket.sendall(line.encode() + b"\n")

    def close(self):
        """Ends the connection and the thread."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.thread.join(5)
        self.socket.close()
