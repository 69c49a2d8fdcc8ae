# SPDX-License-Identifier: BSD-3-Clause
"""Guest RAM that uffdmm-run finds, whatever QEMU makes it of."""
WAYS = ("runner",)
CPUS = (1,)


def try_out(t, backend):
    """The guest's RAM is made as `backend` says."""
    words = ("-object", f"{backend},id=ram,size={t.memory}", "-machine", "memory-backend=ram")
    with t.machine(ram=t.ram_by(arguments=words)) as vm:
        vm.wait_ready()
        t.fill_all(vm)
        vm.ask("touch uniform seconds=1 writes=40")
        t.verify(vm)
        t.expect_swapping(vm)
        t.expect_within_limit(vm)
        vm.power_off()


def test_ram(t):
    """memory-backend-ram is managed."""
    try_out(t, "memory-backend-ram")


def test_ram_shared(t):
    """memory-backend-ram,share=on is managed."""
    try_out(t, "memory-backend-ram,share=on")


def test_memfd(t):
    """memory-backend-memfd, shared unless told otherwise, is managed."""
    try_out(t, "memory-backend-memfd")


def test_memfd_private(t):
    """memory-backend-memfd,share=off is managed."""
    try_out(t, "memory-backend-memfd,share=off")


def test_file(t):
    """memory-backend-file is managed."""
    try_out(t, f"memory-backend-file,mem-path={t.folder}")


def test_file_shared(t):
    """memory-backend-file,share=on is managed where QEMU makes a file without a name."""
    try_out(t, f"memory-backend-file,share=on,mem-path={t.folder}")
