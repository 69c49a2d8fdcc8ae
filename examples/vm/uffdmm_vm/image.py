# SPDX-License-Identifier: BSD-3-Clause
"""The guest: the distribution's cloud kernel, and an initrd with busybox and our program."""
import dataclasses
import hashlib
import os
import pathlib
import shlex
import subprocess

from . import modules
from .cpio import Cpio
from .packages import Unobtainable, cache_folder, cache_lock, fetched, unpack

SOURCES = pathlib.Path(__file__).resolve().parent.parent / "guest"
KERNEL = "linux-image-cloud-amd64"
VERSIONED = r"linux-image-[0-9][^ ]*-cloud-amd64"
FLAGS = ("-std=gnu11", "-O2", "-static", "-pthread", "-D_GNU_SOURCE", "-Wall", "-Wextra",
         "-Wconversion", "-Wshadow", "-Werror")
FOLDERS = ("bin", "dev", "modules", "proc", "sys")


@dataclasses.dataclass(frozen=True)
class GuestImage:
    """What QEMU is given with -kernel and -initrd."""
    kernel: pathlib.Path
    initrd: pathlib.Path


def kernel_folder():
    """With boot/vmlinuz-* and lib/modules: UFFDMM_GUEST_KERNEL or the distribution's."""
    if given := os.environ.get("UFFDMM_GUEST_KERNEL"):
        return pathlib.Path(given)
    return fetched("kernel", lambda apt, folder:
                   unpack(apt, apt.dependency(KERNEL, VERSIONED), folder))


def busybox():
    """A static one."""
    folder = fetched("busybox", lambda apt, folder: unpack(apt, "busybox-static", folder))
    return folder / "bin" / "busybox"


def sources():
    """The program's, in a fixed order."""
    return sorted(SOURCES.glob("*.[ch]"))


def digest(paths):
    """Changes when one of the files does."""
    found = hashlib.sha256(" ".join(FLAGS).encode())
    for path in paths:
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def compile_program(target):
    """By the C compiler of the system: CC, or cc."""
    code = [str(path) for path in sources() if path.suffix == ".c"]
    temporary = f"{target}.{os.getpid()}"
    command = [*shlex.split(os.environ.get("CC", "cc")), *FLAGS, *code, "-lm", "-o", temporary]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unobtainable(f"the guest's program does not compile:\n{done.stderr}")
    os.rename(temporary, target)


def program():
    """The path of the guest's program, compiled if it is new."""
    path = cache_folder("guest") / f"workload-{digest(sources())}"
    if not path.exists():
        compile_program(path)
    return path


def make_initrd(kernel, shell, workload):
    """The archive."""
    paths = modules.paths_of(kernel / "lib" / "modules")
    order = modules.in_order(paths)
    archive = Cpio()
    for name in FOLDERS:
        archive.folder(name)
    archive.character_device("dev/console", 5, 1)
    archive.file("init", (SOURCES / "init").read_bytes(), 0o755)
    archive.file("bin/busybox", shell.read_bytes(), 0o755)
    archive.file("bin/workload", workload.read_bytes(), 0o755)
    archive.file("modules/order", "".join(f"{name}.ko\n" for name in order).encode())
    for name in order:
        archive.file(f"modules/{name}.ko", paths[name].read_bytes())
    return archive.finish()


def guest_image():
    """Kernel and initrd, made or fetched where they are not in the cache. Raises Unobtainable."""
    kernel = kernel_folder()
    found = sorted((kernel / "boot").glob("vmlinuz-*"))
    if not found:
        raise Unobtainable(f"{kernel}/boot has no kernel")
    shell, workload = busybox(), program()
    parts = digest([*sources(), SOURCES / "init", shell, found[-1]])
    initrd = cache_folder("guest") / f"initrd-{parts}"
    if not initrd.exists():
        with cache_lock():
            temporary = initrd.with_suffix(".new")
            temporary.write_bytes(make_initrd(kernel, shell, workload))
            os.rename(temporary, initrd)
    return GuestImage(found[-1], initrd)
