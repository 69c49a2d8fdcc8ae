# SPDX-License-Identifier: BSD-3-Clause
"""A disk whose image QEMU reads and writes by O_DIRECT, straight from and to guest RAM."""
import random
import zlib

from qemutest import once

SIZE = 96 << 20
HALF = 48 << 20


def make_image(t):
    """(path, contents) of an image full of random bytes."""
    contents = random.Random(t.cpus).randbytes(SIZE)
    path = t.folder / "disk"
    path.write_bytes(contents)
    return path, contents


def crc_of(data):
    """As the guest says it."""
    return f"{zlib.crc32(data):08x}"


def test_reads_are_right(t):
    """What a disk read put into guest RAM has the disk's checksum, then and after being swapped."""
    path, contents = make_image(t)
    with t.machine(disk=path) as vm:
        vm.wait_ready()
        t.fill_all(vm, "192M")
        wanted = crc_of(contents[:HALF])
        t.expect(vm.ask("disk-read 48M").value("crc32") == wanted, "the guest read what is there")
        vm.ask(f"touch uniform seconds=1 writes=30 threads={t.cpus}")
        t.expect(vm.ask("disk-check").value("crc32") == wanted, "it still has what it read")
        t.verify(vm)
        t.expect_swapping(vm)
        vm.power_off()


@once
def test_a_changed_disk_is_noticed(t):
    """A checksum that is right for any contents would prove nothing."""
    path, contents = make_image(t)
    with open(path, "r+b") as file:
        file.seek(HALF // 3)
        file.write(bytes([contents[HALF // 3] ^ 1]))
    with t.machine(disk=path) as vm:
        vm.wait_ready()
        t.expect(vm.ask("disk-read 48M").value("crc32") != crc_of(contents[:HALF]),
                 "the changed byte changes the checksum")
        vm.power_off()


def test_writes_are_right(t):
    """What a disk write takes from guest RAM that is swapped out arrives on the disk."""
    path, _ = make_image(t)
    with t.machine(disk=path) as vm:
        vm.wait_ready()
        t.fill_all(vm)
        said = vm.ask("disk-write 96M")
        t.verify(vm)
        vm.power_off()
    t.expect(crc_of(path.read_bytes()) == said.value("crc32"), "the disk has what the guest wrote")
