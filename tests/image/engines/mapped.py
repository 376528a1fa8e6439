"""A disk whose volumes only a kernel puts together, made by one, in an appliance.

Partition 1 is /boot, 2 a volume group with a thin root, 3 and 4 a mirror of md with a root, 5 a
LUKS with a root. Each root has an fstab with a /boot line, and a boot entry.
"""

import subprocess
from pathlib import Path

from bakery.host.kvm import acceleration

MIB = 1 << 20
KEY = "correct horse"
PARTS = ((1, 33), (33, 161), (161, 193), (193, 225), (225, 289))
"""In MiB, from and up to."""
UUIDS = {
    name: f"5f000000-0000-4000-8000-00000000000{n}"
    for n, name in enumerate(("thin", "md", "luks"), 1)
}
LUKS = "6f000000-0000-4000-8000-000000000001"
FSTAB = b"UUID=1 / ext4 defaults 0 1\nLABEL=boot /boot ext4 defaults 0 2\n"
ENTRY = "title {0}\nversion {0}\nlinux /vmlinuz\ninitrd /initrd\noptions root={0} ro\n"
ROOTS = {
    "thin": "/dev/mapper/vg-root",
    "md": f"UUID={UUIDS['md']}",
    "luks": f"/dev/mapper/luks-{LUKS}",
}


def make(folder: Path) -> Path:
    """The disk, as a raw file in `folder`; takes an appliance."""
    disk, boot, root = folder / "disk.raw", folder / "boot.tar", folder / "root.tar"
    _tar(boot, folder / "boot", _boot())
    _tar(
        root,
        folder / "root",
        {"etc/fstab": FSTAB, "usr/bin/true": b"", "etc/os-release": b"ID=t\n"},
    )
    lines = [f"sparse {disk} 290M", "run", "part-init /dev/sda gpt"]
    lines += [f"part-add /dev/sda p {a * 2048} {b * 2048 - 1}" for a, b in PARTS]
    lines += [
        "mkfs ext4 /dev/sda1 label:boot",
        "mount /dev/sda1 /",
        f"tar-in {boot} /",
        "umount-all",
    ]
    lines += ["pvcreate /dev/sda2", "vgcreate vg /dev/sda2"]
    lines += ['debug sh "lvm lvcreate -y --type thin-pool -L 100M -n pool vg"']
    lines += ['debug sh "lvm lvcreate -y -V 60M -T vg/pool -n root"']
    lines += ['md-create r "/dev/sda3 /dev/sda4" level:raid1']
    lines += ["luks-format /dev/sda5 0", KEY, "luks-open /dev/sda5 open", KEY]
    lines += [f'debug sh "cryptsetup -q luksUUID /dev/sda5 --uuid {LUKS}"']
    for name, device in (
        ("thin", "/dev/vg/root"),
        ("md", "/dev/md127"),
        ("luks", "/dev/mapper/open"),
    ):
        lines += [f"mke2fs {device} uuid:{UUIDS[name]} fstype:ext4", f"mount {device} /"]
        lines += [f"tar-in {root} /", "umount-all"]
    script = "\n".join([*lines, "shutdown", ""])
    environment = {
        "LIBGUESTFS_BACKEND": "direct",
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(folder),
    }
    if acceleration() == "tcg":
        environment["LIBGUESTFS_BACKEND_SETTINGS"] = "force_tcg"
    done = subprocess.run(
        ["guestfish", "--keys-from-stdin"],
        input=script,
        text=True,
        env=environment,
        capture_output=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return disk


def _boot() -> dict[str, bytes]:
    entries = {f"loader/entries/{n}.conf": ENTRY.format(root).encode() for n, root in ROOTS.items()}
    return {"vmlinuz": b"kernel" * 99, "initrd": b"initrd" * 99, **entries}


def _tar(path: Path, folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    subprocess.run(["tar", "-C", folder, "-cf", path, "."], check=True)
