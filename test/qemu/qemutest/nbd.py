# SPDX-License-Identifier: BSD-3-Clause
"""An NBD server on a file, to be killed and started again."""
import pathlib
import subprocess
import time

START_SECONDS = 60


class NbdServer:
    """nbdkit on a Unix socket in `folder`; for `with`."""

    def __init__(self, folder, size):
        self.folder = pathlib.Path(folder)
        self.process = None
        with open(self.folder / "export", "wb") as file:
            file.truncate(size)

    @property
    def uri(self):
        """What leads to it."""
        return f"nbd+unix:///?socket={self.folder}/nbd.sock"

    def start(self):
        """It takes connections afterwards."""
        pid_file = self.folder / "nbd.pid"
        for left in (pid_file, self.folder / "nbd.sock"):
            left.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            ["nbdkit", "--foreground", "--exit-with-parent", "--unix", self.folder / "nbd.sock",
             "--pidfile", pid_file, "file", self.folder / "export"],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + START_SECONDS
        while not pid_file.exists():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("nbdkit does not start")
            time.sleep(0.02)

    def kill(self):
        """As in a crash."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_error):
        self.kill()
