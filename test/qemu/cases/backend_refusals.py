# SPDX-License-Identifier: BSD-3-Clause
"""memory-backend-uffdmm refuses to start where it can't keep its promise, and says why."""
import subprocess

from qemutest.vhost_user import vhost_user_server
from uffdmm_vm import Plain
from uffdmm_vm.qmp import QmpError

WAYS = ("backend",)
CPUS = (1,)

NAME = "memory-backend-uffdmm"
# Options of the object, more arguments of QEMU, and what the message has to say.
TABLE = (
    ("", (), "Parameter 'limit' is missing"),
    ("limit=0", (), "property 'limit' of memory-backend-uffdmm doesn't take value '0'"),
    ("limit=1M", (), f"{NAME} 'ram0': limit: 1M is not allowed; allowed: a size from 4M up"),
    ("limit=lots", (), "Parameter 'limit' expects a size value"),
    ("limit=64M,tiers.0.kind=tape", (), "Parameter 'kind' does not accept value 'tape'"),
    ("limit=64M,tiers.0.size=1M", (), "Parameter 'tiers.0.kind' is missing"),
    ("limit=64M,tiers.1.kind=ram", (), "Parameter 'tiers.0' missing"),
    ("limit=64M,tiers.0.kind=file", (), "Parameter 'tiers.0.path' is missing"),
    ("limit=64M,tiers.0.kind=ram,tiers.0.path=/x", (), "tiers.0.path"),
    ("limit=64M,tiers.0.kind=file,tiers.0.path=/nowhere/f,tiers.0.size=1G", (), "/nowhere"),
    ("limit=64M,tiers.0.kind=file,tiers.0.path=/tmp", (), "a file needs a size"),
    ("limit=64M,tiers.0.kind=ram,tiers.0.level=44,tiers.0.compression=zstd", (),
     "tiers[0].level: 44 is not allowed; allowed: a whole number from 1 to 19"),
    ("limit=64M,tiers.0.kind=ram,tiers.1.kind=ram", (), "tiers[1].name"),
    ("limit=64M,tiers.0.kind=nbd", (), "Parameter 'tiers.0.uri' is missing"),
    ("limit=64M,tiers.0.kind=nbd,tiers.0.uri=http://host", (), "tiers[0].uri: \"http://host\""),
    ("limit=64M,tiers.0.kind=nbd,tiers.0.uri=nbd://host,tiers.0.connections=17", (),
     "tiers[0].connections: 17 is not allowed; allowed: a whole number from 1 to 16"),
    ("limit=64M,tiers.0.kind=nbd,tiers.0.uri=nbd+unix:///?socket=/nowhere", (),
     "no connection to the server"),
    ("limit=64M,eviction=lru", (), "Parameter 'eviction' does not accept value 'lru'"),
    ("limit=64M,prefetch=psychic", (), "Parameter 'prefetch' does not accept value 'psychic'"),
    ("limit=64M,when-full=panic", (), "Parameter 'when-full' does not accept value 'panic'"),
    ("limit=64M,shards=0", (), "'shards' of memory-backend-uffdmm doesn't take value '0'"),
    ("limit=64M,shards=65", (), "allowed are 1 to 64"),
    ("limit=64M,workers=65", (), "allowed are 1 to 64"),
    ("limit=64M,staged-percent=51", (), "allowed are 1 to 50"),
    ("limit=64M,bogus=1", (), "Invalid parameter 'bogus'"),
    ("limit=64M,prealloc=on", (), "'prealloc=on'"),
    ("limit=64M,reserve=on,prealloc=on", (), "'prealloc=on' is not supported by"),
    ("limit=64M,merge=on", (), "'merge=on' is not supported by"),
    ("limit=64M", ("-overcommit", "mem-lock=on"), "-overcommit mem-lock=on is not supported by"),
    ("config=/nowhere/file", (), "/nowhere/file: No such file or directory"),
    ("config=/dev/null,workers=2", (), "'config' and 'workers' are mutually exclusive"),
    ("config=/dev/null,limit=64M,tiers.0.kind=ram", (),
     "'config' and 'tiers' are mutually exclusive"),
)
# A device that is another process, which would have to map guest memory.
OTHERS_DEVICE = "vhost-user-rng-pci"
OTHERS_SHARE = f"can't be used together with {NAME}: no other process can share the memory"


def said(t, options, arguments):
    """What QEMU says as it ends; it has to end, badly."""
    ram = ",".join(filter(None, (f"{NAME},id=ram0,size=128M", options)))
    run = subprocess.run([t.qemu["backend"], "-nodefaults", "-display", "none", "-S", "-m", "128M",
                          "-object", ram, "-machine", "memory-backend=ram0", *arguments],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, timeout=60, text=True, check=False)
    t.expect(run.returncode == 1, f"{options}: it ends with 1 ({run.returncode})")
    return run.stdout


def test_bad_options(t):
    """Each bad option or combination is refused by a message that names it."""
    for options, arguments, wanted in TABLE:
        found = said(t, options, arguments)
        t.expect(wanted in found, f"{options} {arguments}: {found}")
    t.notes.append(f"{len(TABLE)} refusals")


def test_regions_in_the_configuration(t):
    """A configuration file that wants memory of its own is refused, by the file's name."""
    path = t.folder / "config"
    path.write_text('{"limit": "64M", "regions": [{"size": "16M"}]}')
    found = said(t, f"config={path}", ())
    t.expect(str(path) in found and "'regions' must be empty" in found, found)


def test_confidential_guests(t):
    """Memory that the host can't read can't be managed."""
    found = said(t, "limit=64M", ("-object", "sev-guest,id=sev0,cbitpos=47,reduced-phys-bits=1",
                                  "-machine", "confidential-guest-support=sev0"))
    t.expect("confidential guests" in found or "sev" in found.lower(), found)


def refused(t, vm, command, **arguments):
    """A command of the monitor is, for the reason that there can be no such device."""
    try:
        vm.qmp.command(command, **arguments)
        t.expect(False, f"{command} {arguments} is refused")
    except QmpError as error:
        t.expect(OTHERS_SHARE in str(error), f"{error}")


def chardev(t, side):
    """Where the device's process is, or would be."""
    return "-chardev", f"socket,id=c,path={t.folder}/vhost,{side}"


def test_devices_of_other_processes(t):
    """A vhost-user device is refused, with memory that is shared as with memory that is not."""
    device = (*chardev(t, "server=on,wait=off"), "-device", f"{OTHERS_DEVICE},chardev=c")
    for share in ("off", "on"):
        found = said(t, f"limit=64M,share={share}", device)
        t.expect(f"device '{OTHERS_DEVICE}' {OTHERS_SHARE}" in found, found)


def has_network_of_others(t):
    """Whether this QEMU was built with it; shim/qemu/build.sh leaves it out."""
    words = [t.qemu["backend"], "-machine", "none", "-netdev", "vhost-user,id=n,chardev=none"]
    found = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False).stderr
    if "not compiled into this binary" in found:
        t.notes.append("this QEMU has no vhost-user network")
        return False
    return True


def test_a_network_of_another_process(t):
    """A vhost-user network is there before the memory, and is refused all the same."""
    if not has_network_of_others(t):
        return
    with vhost_user_server(t.folder / "vhost"):
        found = said(t, "limit=64M", (*chardev(t, "server=off"), "-netdev",
                                      "vhost-user,id=n,chardev=c", "-device",
                                      "virtio-net-pci,netdev=n"))
    t.expect(f"netdev 'n' {OTHERS_SHARE}" in found, found)


def test_devices_of_other_processes_that_come_later(t):
    """The monitor can't add what the command line can't have."""
    with (vhost_user_server(t.folder / "vhost"),
          t.machine(devices=chardev(t, "server=off")) as vm):
        refused(t, vm, "device_add", driver=OTHERS_DEVICE, chardev="c")
        if has_network_of_others(t):
            vm.qmp.command("netdev_add", type="vhost-user", id="n", chardev="c")
            refused(t, vm, "device_add", driver="virtio-net-pci", netdev="n")
        vm.wait_ready()
        vm.power_off()


def test_memory_beside_devices_of_other_processes(t):
    """A backend that comes after such a device is refused; without the device it is not."""
    more = {"qom_type": NAME, "id": "more", "size": 64 << 20, "limit": 16 << 20}
    plain = Plain(qemu=t.qemu[t.way])
    device = (*chardev(t, "server=off"), "-device", f"{OTHERS_DEVICE},chardev=c")
    with (vhost_user_server(t.folder / "vhost"), t.machine(ram=plain, devices=device) as vm):
        refused(t, vm, "object-add", **more)
    with t.machine(ram=plain) as vm:
        vm.qmp.command("object-add", **more)
        vm.qmp.command("object-del", id="more")
