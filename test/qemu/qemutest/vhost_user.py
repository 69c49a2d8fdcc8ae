# SPDX-License-Identifier: BSD-3-Clause
"""The other side of a vhost-user device, as far as QEMU needs it to set the device up."""
import contextlib
import socket
import struct
import sys
import threading

HEADER = struct.Struct("=III")  # request, flags, bytes that follow
VERSION_1, REPLY = 1, 4
GET_FEATURES = 1
FEATURES = 1 << 32  # VIRTIO_F_VERSION_1


def serve(connection):
    """Has as good as no features, and takes whatever it is told."""
    with connection, contextlib.suppress(OSError):
        while len(header := connection.recv(HEADER.size, socket.MSG_WAITALL)) == HEADER.size:
            request, _, size = HEADER.unpack(header)
            connection.recv(size, socket.MSG_WAITALL)
            if request == GET_FEATURES:
                connection.sendall(HEADER.pack(request, VERSION_1 | REPLY, 8) +
                                   FEATURES.to_bytes(8, sys.byteorder))


@contextlib.contextmanager
def vhost_user_server(path):
    """Listens there, for one QEMU."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def accept():
            with contextlib.suppress(OSError):
                serve(listener.accept()[0])

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
