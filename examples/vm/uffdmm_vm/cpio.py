# SPDX-License-Identifier: BSD-3-Clause
"""An archive as the kernel unpacks it into its first root file system: cpio, format newc."""
import stat

END = "TRAILER!!!"


class Cpio:
    """Grows in memory, in the order of the calls; folders come before what is in them."""

    def __init__(self):
        self.parts = []
        self.number = 0

    def entry(self, name, mode, data=b"", device=(0, 0)):
        """Any kind of file."""
        self.number += 1
        path = name.encode() + b"\0"
        fields = [self.number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(path), 0]
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + path
        self.parts += [head, bytes(-len(head) % 4), data, bytes(-len(data) % 4)]

    def folder(self, name):
        """A directory."""
        self.entry(name, stat.S_IFDIR | 0o755)

    def file(self, name, data, mode=0o644):
        """A regular file."""
        self.entry(name, stat.S_IFREG | mode, data)

    def character_device(self, name, major, minor):
        """What the kernel opens before anything is mounted."""
        self.entry(name, stat.S_IFCHR | 0o600, device=(major, minor))

    def finish(self):
        """The archive."""
        self.entry(END, 0)
        return b"".join(self.parts)
