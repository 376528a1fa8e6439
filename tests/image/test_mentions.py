"""Where the files of a system name devices, told from the files an engine shows."""

from collections.abc import Mapping

import pytest

from bakery.disk.volumes.volumes import Partition, PartitionTable, Survey, Volume
from bakery.host.errors import BakeryError
from bakery.image import mentions
from bakery.image.mentions import DeviceFile
from tests.image.test_boot_entries import ROOT, Files, reader

BOOT_MOUNT = "[Mount]\nWhat=/dev/disk/by-label/boot\nWhere=/boot\n"
OWN = "etc/systemd/system"
VENDOR = "usr/lib/systemd/system"


class Tree(Files):
    """Files of which some cannot be read, and why; `table` is the disk's."""

    table: PartitionTable | None = None
    unreadable: Mapping[str, str] = {}

    def survey(self) -> Survey:
        known = super().survey()
        return Survey(known.size_bytes, self.table or known.table, known.groups, known.volumes)

    def read_file(self, volume: Volume, path: str) -> bytes:
        if path in self.unreadable:
            raise BakeryError(f"{path} {self.unreadable[path]}")
        return super().read_file(volume, path)


def found(files: dict[str, str], table: PartitionTable | None = None) -> dict[str, DeviceFile]:
    engine = Tree({ROOT.device: files})
    engine.table = table
    return {f.path: f for f in mentions.find(reader(engine), ROOT, "/etc")}


def test_a_system_that_names_no_device_has_no_such_file():
    assert found({"etc/fstab": "", "etc/crypttab": "# none\n", "etc/passwd": "x"}) == {}
    assert found({"etc/fstab": "tmpfs /tmp tmpfs\nserver:/a /srv/a nfs\nproc /proc proc\n"}) == {}


def test_fstab_and_crypttab_are_read_with_what_keeps_them_from_an_edit():
    engine = Tree({ROOT.device: {"etc/fstab": "# ab\nUUID=1 /a xfs\n/b /c none bind\n"}})
    engine.obstacle = "a shared block"
    (file,) = mentions.find(reader(engine), ROOT, "/etc")
    assert (file.kind, file.size_bytes, file.spare_bytes) == ("fstab", 35, 3)
    assert file.obstacle == "a shared block"
    assert [m.device for m in file.mentions] == ["UUID=1", "/b"]
    assert found({"etc/crypttab": "a UUID=1 none\n"})["/etc/crypttab"].kind == "crypttab"


@pytest.mark.parametrize(
    ("started_by", "optional"),
    [
        (f"{OWN}/local-fs.target.requires/boot.mount", False),
        (f"{OWN}/local-fs.target.wants/boot.mount", True),
        (f"{VENDOR}/local-fs.target.requires/boot.mount", False),
        (f"{OWN}/multi-user.target.wants/boot.automount", True),
        (f"{OWN}/other", True),
    ],
)
def test_a_unit_that_is_required_is_needed_and_one_that_is_wanted_is_not(started_by, optional):
    files = {f"{OWN}/boot.mount": BOOT_MOUNT, started_by: "a link"}
    unit = found(files)["/etc/systemd/system/boot.mount"]
    (mention,) = unit.mentions
    assert (unit.kind, mention.point, mention.optional) == ("unit", "/boot", optional)


def test_a_unit_of_the_distribution_counts_where_it_is_started_and_not_replaced():
    vendors = {f"{VENDOR}/boot.mount": BOOT_MOUNT}
    assert found(vendors) == {}
    started = vendors | {f"{VENDOR}/local-fs.target.wants/boot.mount": ""}
    assert list(found(started)) == ["/usr/lib/systemd/system/boot.mount"]
    replaced = started | {f"{OWN}/boot.mount": BOOT_MOUNT.replace("boot\n", "other\n", 1)}
    assert [f.mentions[0].device for f in found(replaced).values()] == ["/dev/disk/by-label/other"]
    old = {f"lib/systemd/system/{name.rpartition('system/')[2]}": t for name, t in started.items()}
    assert list(found(old)) == ["/lib/systemd/system/boot.mount"]


def test_a_drop_in_counts_in_the_place_of_what_it_changes():
    drop_in = f"{OWN}/boot.mount.d/b.conf"
    other = BOOT_MOUNT.replace("/boot\n", "/other\n", 1)
    files = {f"{OWN}/boot.mount": BOOT_MOUNT, drop_in: other}
    (unit,) = found(files).values()
    assert (unit.path, unit.kind) == (f"/{drop_in}", "unit")
    assert [(m.device, m.point) for m in unit.mentions] == [("/dev/disk/by-label/other", "/boot")]
    later = files | {f"{VENDOR}/boot.mount.d/c.conf": BOOT_MOUNT, f"{OWN}/boot.mount.d/d": other}
    assert list(found(later)) == [f"/{VENDOR}/boot.mount.d/c.conf"]
    hidden = files | {f"{VENDOR}/boot.mount.d/b.conf": BOOT_MOUNT}
    assert list(found(hidden)) == [f"/{drop_in}"]


@pytest.mark.parametrize(("option", "optional"), [("", False), ("nofail", True)])
def test_a_drop_in_of_what_fstab_mounts_is_as_needed_as_that(option, optional):
    files = {
        "etc/fstab": f"/dev/sda9 /srv/a ext4 {option}\n/dev/sda8 / ext4\n",
        f"{OWN}/srv-a.mount.d/a.conf": "[Mount]\nWhat=LABEL=a\n",
        f"{OWN}/other.mount.d/a.conf": "[Mount]\nWhat=LABEL=b\n",
    }
    _, unit = found(files).values()
    assert unit.path.endswith("srv-a.mount.d/a.conf")
    assert [(m.device, m.point, m.optional) for m in unit.mentions] == [
        ("LABEL=a", "/srv/a", optional)
    ]


def test_a_masked_unit_names_nothing_whatever_its_drop_ins_say():
    files = {f"{OWN}/a.mount": "", f"{OWN}/a.mount.d/a.conf": "[Mount]\nWhat=LABEL=a\n"}
    assert found(files) == {}


def test_drop_ins_without_end_are_refused():
    files = {f"{OWN}/a.mount.d/{n}.conf": BOOT_MOUNT for n in range(mentions.DROP_INS_LIMIT + 1)}
    with pytest.raises(BakeryError, match=r"a\.mount has more than 64 drop-ins"):
        found(files | {f"{OWN}/a.mount": BOOT_MOUNT})


def test_what_an_initramfs_is_made_with_names_devices():
    files = {
        "etc/initramfs-tools/conf.d/resume": "RESUME=UUID=1\n",
        "etc/dracut.conf.d/a.conf": 'kernel_cmdline="rd.luks.uuid=2"\n',
        "etc/dracut.conf.d/a.txt": 'kernel_cmdline="rd.luks.uuid=3"\n',
        "etc/initramfs-tools/conf.d/folder/resume": "RESUME=UUID=4\n",
    }
    told = found(files)
    assert [(f.kind, [m.device for m in f.mentions]) for f in told.values()] == [
        ("initramfs", ["UUID=1"]),
        ("initramfs", ["UUID=2"]),
    ]


def test_each_source_is_read_by_itself():
    engine = Tree({ROOT.device: {"etc/fstab": "UUID=1 /a xfs\n", "etc/crypttab": "a UUID=2\n"}})
    engine.unreadable = {"/etc/fstab": "is torn"}
    sources = {s.path: s for s in mentions.sources(reader(engine), ROOT, "/etc")}
    assert [file.kind for file in sources["/etc/crypttab"].read()] == ["crypttab"]
    with pytest.raises(BakeryError, match="is torn"):
        list(sources["/etc/fstab"].read())


def test_the_kernels_own_filesystems_are_no_mentions_and_are_not_read():
    names = ("dev-hugepages.mount", "proc-a.mount", "sys-a.mount")
    engine = Tree({ROOT.device: {f"{OWN}/{name}": BOOT_MOUNT for name in names}})
    engine.unreadable = {f"/{OWN}/{name}": "is torn" for name in names}
    assert mentions.find(reader(engine), ROOT, "/etc") == ()


def test_a_masked_unit_names_nothing_and_what_cannot_be_read_is_an_error():
    engine = Tree({ROOT.device: {f"{OWN}/boot.mount": ""}})
    assert mentions.find(reader(engine), ROOT, "/etc") == ()
    engine.unreadable = {f"/{OWN}/boot.mount": "is not a regular file"}
    assert mentions.find(reader(engine), ROOT, "/etc") == ()
    for path in (f"/{OWN}/boot.mount", "/etc/fstab", "/etc/crypttab"):
        engine.unreadable = {path: "is torn"}
        with pytest.raises(BakeryError, match="is torn"):
            mentions.find(reader(engine), ROOT, "/etc")


def test_partitions_that_systemd_mounts_by_their_type_are_named_by_the_table():
    home = next(guid for guid, point in mentions.MOUNTED_BY_TYPE.items() if point == "/home")
    table = PartitionTable("gpt", "", (Partition(1, 0, 1, home.lower(), uuid="aa"),))
    generator = {"usr/lib/systemd/system-generators/systemd-gpt-auto-generator": ""}
    (file,) = found(generator, table).values()
    assert (file.kind, [(m.device, m.point) for m in file.mentions]) == (
        "table", [("PARTUUID=aa", "/home")],
    )  # fmt: skip
    assert found({"etc/a": ""}, table) == {}
    old = PartitionTable("dos", "", table.partitions)
    assert found(generator, old) == {}


def test_the_devices_file_of_lvm_binds_a_system_to_its_disk():
    path = "etc/lvm/devices/system.devices"
    assert found({path: "# empty\nVERSION=1\n"}) == {}
    bound = {path: "VERSION=1\nIDTYPE=sys_wwid IDNAME=naa.1 PVID=x\n"}
    file = found(bound)["/etc/lvm/lvm.conf"]
    assert (file.kind, file.mentions) == ("lvm", ())
    config = {"etc/lvm/lvm.conf": "devices {\n# use_devicesfile = 1\n}\n"}
    (mention,) = found(bound | config)["/etc/lvm/lvm.conf"].mentions
    assert (mention.device, mention.line, mention.line_bytes) == (f"/{path}", 2, 21)


def test_a_file_that_names_devices_without_end_is_refused():
    many = "".join(f"UUID={n} /a{n} ext4\n" for n in range(mentions.MENTIONS_LIMIT + 1))
    with pytest.raises(BakeryError, match="names more than 1000 devices"):
        found({"etc/fstab": many})
    units = {f"{OWN}/a{n}.mount": BOOT_MOUNT for n in range(mentions.UNITS_LIMIT + 1)}
    with pytest.raises(BakeryError, match="more than 256 units"):
        found(units)
