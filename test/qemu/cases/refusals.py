# SPDX-License-Identifier: BSD-3-Clause
"""What cannot be done is refused before the guest starts, by a message that names it."""
from uffdmm_vm import MachineFailed

WAYS = ("runner",)
CPUS = (1,)


def said(t, **more):
    """The message that ends the start."""
    try:
        with t.machine(**more):
            pass
    except MachineFailed as error:
        t.expect("QEMU does not start" in str(error), f"it is the start that fails: {error}")
        return str(error)
    t.expect(False, "QEMU does not start")
    return ""


def test_limit(t):
    """A limit that is too small names the key and what is allowed."""
    found = said(t, ram=t.ram_by(limit="1M", tiers=()))
    t.expect("limit: 1M is not allowed; allowed:" in found, found)


def test_tier(t):
    """A tier where no file can be made is named."""
    found = said(t, ram=t.ram_by(tiers=("file:/nonexistent/folder/f:64M",)))
    t.expect("/nonexistent/folder" in found, found)


def test_file_with_contents(t):
    """Guest RAM in a file that has contents is refused by name."""
    path = t.folder / "guest-ram"
    path.write_bytes(b"contents" * (384 << 17))
    words = ("-object", f"memory-backend-file,id=ram,size=384M,share=on,mem-path={path}",
             "-machine", "memory-backend=ram")
    found = said(t, ram=t.ram_by(arguments=words))
    t.expect(str(path) in found, found)
    t.expect(path.read_bytes()[:8] == b"contents", "and is left as it was")
