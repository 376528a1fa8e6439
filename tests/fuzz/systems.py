"""The files of a system in an image: boot entries, GRUB's menu, fstab, packages."""

from pathlib import Path
from types import SimpleNamespace

from bakery.build.sbom import cyclonedx, document, dpkg, spdx
from bakery.build.sbom.packages import Installed
from bakery.build.scrub import homes
from bakery.build.scrub.tree import Tree
from bakery.disk.volumes.volumes import Partition, PartitionTable, Survey, Volume
from bakery.image.reader import Place
from bakery.system import (
    bls,
    boot_devices,
    device_names,
    fstab,
    grub,
    grub_defaults,
    initramfs,
    kargs,
    loader,
    lvm_devices,
    mdadm,
    menu,
    mount_units,
    netboot_args,
    os_release,
    ostree,
    versions,
)
from tests import tiny
from tests.fuzz.target import Target, text

GRUB_CFG = b"""set default="${saved_entry}"
if [ -s $prefix/grubenv ]; then
  load_env
fi
set kernelopts="root=UUID=2f6e1f4a ro"
menuentry 'Debian GNU/Linux' --class debian --id 'gnulinux-simple-1' {
  insmod ext2
  search --no-floppy --fs-uuid --set=root 2f6e1f4a
  linux /boot/vmlinuz-6.1 $kernelopts "quiet" console=ttyS0
  initrd /boot/initrd.img-6.1
}
submenu 'Advanced options' --id adv {
  menuentry 'old' { linux /boot/vmlinuz-5.10 root=/dev/sda1 ; initrd /boot/i }
}
"""
GRUBENV = b"# GRUB Environment Block\nsaved_entry=1\nkernelopts=root=/dev/sda1 ro\n"
ENTRY = tiny.ENTRY.encode() + b"options $kernelopts $tuned_params\nversion 6.1.0-25\nsort-key a\n"
ARGS = 'root=UUID=1 ro quiet console=ttyS0,115200n8 dyndbg="file a +p" ostree=/ostree/boot.1/a'
STATUS = b"""Package: base-files
Status: install ok installed
Architecture: amd64
Source: base-files (12.4)
Version: 12.4+deb12u5
Description: Debian base system miscellaneous files
 This package contains the basic filesystem hierarchy.

Package: gone
Status: deinstall ok config-files
Version: 1:2.0~rc1-3
Architecture: all
"""
KNOWN = {"kernelopts": "root=/dev/sda1 ro", "saved_entry": "1>0"}


UNIT = b"""[Unit]
Description=Data
[Mount]
What=/dev/disk/by-uuid/2f6e1f4a
Where=/srv
Options=nofail,subvol=@/a
"""
MDADM = b"ARRAY /dev/md0 metadata=1.2 UUID=3749f528:5d5a2b3c:00112233:44556677\nDEVICE partitions\n"
DEVICES = (
    b"root=UUID=2f6e1f4a rd.luks.uuid=luks-5a rd.lvm.lv=v/root resume=/dev/v/swap resume_offset=5 "
    b"rd.md.uuid=3749f528:5d5a systemd.mount-extra=LABEL=a:/b:ext4:ro fips=1 boot=PARTUUID=1"
)


PASSWD = b"root:x:0:0:root:/root:/bin/bash\nuser:x:1000:1000:,,,:/home/user:/bin/sh\n"
BY_ID = b"/dev/disk/by-id/ata-QEMU_HARDDISK_QM00001-part2"
MAPPED = b"/dev/disk/by-id/dm-name-v-a\\x2fb"
LVM_CONF = b'config {\n}\ndevices {\n\tdir = "/dev"\n\t# use_devicesfile = 1\n}\n'
PARTITIONS = tuple(
    Partition(n, n << 20, 1 << 20, "83", name=f"part-{n}", uuid=f"2f6e-0{n}") for n in (2, 3)
)
DISK = Survey(
    8 << 20,
    PartitionTable("gpt", "5a", PARTITIONS),
    (),
    tuple(Volume(one.device, one.size_bytes, (), "ext4", uuid="2f") for one in PARTITIONS),
)


def targets(_work: Path) -> list[Target]:
    """All of them."""
    return [
        Target("BLS entry", _entry, ENTRY),
        Target("BLS entry, edited", _edited, ENTRY),
        Target("grub.cfg", lambda d: grub.ordered(d, KNOWN), GRUB_CFG),
        Target("grub.cfg, edited", _menu_edited, GRUB_CFG),
        Target("grubenv", _environment, GRUBENV.ljust(1024, b"#")),
        Target("default/grub", lambda d: grub_defaults.change(d, ["ro"], ["a=b"]), _DEFAULTS),
        Target("fstab", _without_devices, tiny.FSTAB),
        Target("crypttab", fstab.crypttab_mentions, b"home UUID=5a3e6a1c none luks,nofail\n"),
        Target("mount unit", _mounted, UNIT),
        Target("mdadm.conf", _without_arrays, MDADM),
        Target(
            "settings of an initramfs", _baked, b'RESUME="UUID=1"\nkernel_cmdline+=" root=a "\n'
        ),
        Target("name of a device", lambda d: _named(text(d)), b"PARTUUID=2f6e-02/PARTNROFF=1"),
        Target("link to a device", lambda d: _named(text(d)), BY_ID),
        Target("name of a mapped device", lambda d: _named(text(d)), MAPPED),
        Target("lvm.conf", _switched_off, LVM_CONF),
        Target("LVM's devices", lvm_devices.binds, b"VERSION=1.1.2\nIDTYPE=sys_wwid IDNAME=a\n"),
        Target("devices of arguments", _devices, DEVICES),
        Target("passwd", _users, PASSWD),
        Target("os-release", os_release.parse, tiny.ROOT["etc/os-release"]),
        Target("kernel arguments", lambda d: _arguments(text(d)), ARGS.encode()),
        Target("arguments for boot programs", lambda d: _for_boot_programs(text(d)), ARGS.encode()),
        Target("ostree=", lambda d: ostree.parse_boot_argument(text(d)), _BOOT_ARGUMENT),
        Target(
            "OSTree deployment", lambda d: ostree.parse_deployment_name(text(d)), b"5a" * 32 + b".0"
        ),
        Target("version", lambda d: versions.sort_key(text(d)), b"6.12.0~rc1^git-25.el9_4.x86_64"),
        Target("dpkg's database", lambda d: dpkg.parse(d, "status"), STATUS),
        Target("bills of material", _billed, STATUS),
    ]


_DEFAULTS = b"GRUB_CMDLINE_LINUX=\"ro x\"\nGRUB_CMDLINE_LINUX_DEFAULT='quiet splash'\n"
_BOOT_ARGUMENT = b"ostree=/ostree/boot.1/fedora-atomic/" + b"5a" * 32 + b"/0"


def _entry(data: bytes) -> object:
    found = bls.parse(data, "a+3-1.conf", KNOWN)
    other = bls.parse(ENTRY, "b.conf")
    return bls.arguments(found, KNOWN), bls.order([found, other], "1"), found.bad


def _edited(data: bytes) -> object:
    old = kargs.parse("root=/dev/sda1 ro quiet")
    edit = loader.change(("quiet",), ("nomodeset",))
    return loader.in_entry(data, "a.conf", edit, old, edit(old))


def _menu_edited(data: bytes) -> object:
    return grub.set_args(data, "/vmlinuz-6.1", loader.change(("quiet",), ("nomodeset",)))


def _without_devices(data: bytes) -> bytes:
    lines = [mention.line for mention in fstab.mentions(data)]
    fstab.changed(data, dict.fromkeys(lines, "/dev/sdb1"))
    return fstab.changed(data, dict.fromkeys(lines))


def _named(name: str) -> object:
    return device_names.named(name, DISK), device_names.disk_of(name)


def _switched_off(config: bytes) -> bytes:
    line = lvm_devices.switch_line(config)
    return lvm_devices.switched_off(config, line) if line else config


def _users(data: bytes) -> object:
    """The homes that a scrub looks into."""
    reader = SimpleNamespace(text=lambda _volume, _path: data)
    tree = Tree({"": (Place(DISK.volumes[0], ""),)})
    return list(homes._users(reader, tree))  # type: ignore[arg-type]


def _billed(data: bytes) -> object:
    """As the documents that a build's user is handed."""
    installed = Installed("debian", "12", tuple(sorted(dpkg.parse(data, "status"))))
    subject = document.subject("sample", "sha256:" + "5a" * 32, installed)
    return spdx.encode(subject), cyclonedx.encode(subject)


def _without_arrays(data: bytes) -> bytes:
    return mdadm.without(data, [m.line for m in mdadm.mentions(data)])


def _baked(data: bytes) -> object:
    return initramfs.tools_mentions(data), initramfs.dracut_mentions(data)


def _mounted(data: bytes) -> object:
    found = mount_units.mention([data, UNIT], "srv.mount", required=True)
    without = mount_units.without_device(data, "/srv")
    return without, found and mount_units.renamed(
        [data, UNIT][found.text], found.mention.line, "/dev/sdb1"
    )


def _devices(data: bytes) -> object:
    args = kargs.parse(text(data))
    found = boot_devices.mentions(args)
    return [
        boot_devices.changed(args, {one.line: new}) for one in found for new in (None, "/dev/a")
    ]


def _environment(data: bytes) -> object:
    known = grub.parse_environment(data)
    return grub.ordered(GRUB_CFG, known), menu.index([("a", "b")], known.get("saved_entry", ""))


def _arguments(line: str) -> object:
    args = kargs.parse(line)
    named = enumerate(boot_devices.mentions(args))
    root = boot_devices.changed(args, {m.line: "UUID=1" if i % 2 else None for i, m in named})
    return kargs.parse(kargs.join(root)), kargs.value(args, "root")


def _for_boot_programs(line: str) -> object:
    args = kargs.parse(line)
    forms = (netboot_args.for_pxelinux, netboot_args.for_ipxe, netboot_args.for_grub)
    return [form(args) for form in forms]
