"""What a system mounts, by everything that names it, and what of that cannot be searched."""

from typing import Any

import msgspec
import pytest

from bakery.build.scrub import mounts
from bakery.build.scrub.tree import Tree
from bakery.disk.volumes.volumes import (
    LogicalVolume,
    Partition,
    PartitionTable,
    Subvolume,
    VolumeGroup,
)
from bakery.image.boot_entries import BootEntry
from bakery.image.engines.base import CannotServe
from bakery.image.mentions import MOUNTED_BY_TYPE
from bakery.image.reader import Place
from tests.build.scrub.trees import opened, volume

ROOT = volume(1, uuid="aaaa-1")
HOME = volume(2, uuid="aaaa-2", label="home")
LUKS = volume(3, "crypto_LUKS", uuid="aaaa-3")
OWN = "etc/systemd/system"
TYPES = {point: guid for guid, point in MOUNTED_BY_TYPE.items()}
ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"


def mounted(files, *volumes, torn=(), **more):
    """What the system in the first volume mounts."""
    reader, inspected = opened({"/dev/sda1": files}, ROOT, *volumes, **more)
    engine: Any = reader.engine
    engine.torn.update(torn)
    return mounts.find(reader, inspected, Tree({"": (Place(ROOT, ""),)}))


def points(found):
    """The volumes by their mount points, but for the root."""
    return {
        point: [place.volume.name + place.path for place in places]
        for point, places in found.tree.mounts.items()
        if point
    }


def left(found):
    return [(item.name, item.device, item.reason) for item in found.unsearched]


def fstab(*lines):
    return {"etc/fstab": "".join(f"{line}\n" for line in lines)}


def entry(args, root="/dev/sda1", etc="/etc"):
    return BootEntry(
        *(),
        id="a",
        title="a",
        kernel="/k",
        initrds=(),
        args=tuple(args.split()),
        config="",
        root=root,
        etc=etc,
    )


UNIT = "[Mount]\nWhat=UUID=aaaa-2\nWhere=/home\n"


@pytest.mark.parametrize(
    ("files", "more"),
    [
        (fstab("UUID=aaaa-2 /home ext4"), {}),
        (fstab('UUID="aaaa-2" /home/ ext4'), {}),
        (fstab("LABEL=home /srv/../home ext4"), {}),
        (fstab("/dev/vda2 /home ext4 noauto"), {}),
        ({f"{OWN}/home.mount": UNIT}, {}),
        ({f"{OWN}/home.mount": UNIT.replace("aaaa-2", "gone"),
          f"{OWN}/home.mount.d/a.conf": "[Mount]\nWhat=/dev/disk/by-label/home\n"}, {}),
        ({}, {"entries": (entry("root=UUID=aaaa-1 systemd.mount-extra=LABEL=home:/home:ext4"),)}),
        ({}, {"entries": (entry("systemd.mount-extra=/dev/sda2:/home", root=""),)}),
        ({}, {"table": PartitionTable("gpt", "", (
            Partition(2, 0, 1, TYPES["/home"].lower(), uuid="pu-2"),))}),
    ],
)  # fmt: skip
def test_whatever_names_a_volume_it_is_searched_where_it_is_mounted(files, more):
    found = mounted(files, HOME, **more)
    assert points(found) == {"/home": ["/dev/sda2"]}
    assert (found.unsearched, found.notes) == ((), ())


def test_a_drop_in_counts_for_what_fstab_mounts_too():
    files = fstab("UUID=aaaa-2 /home ext4") | {
        f"{OWN}/home.mount.d/a.conf": "[Mount]\nWhat=UUID=aaaa-4\n"
    }
    found = mounted(files, HOME, volume(4, "xfs", uuid="aaaa-4"))
    assert points(found) == {"/home": ["/dev/sda2", "/dev/sda4"]}, "one of them, and both are there"


def test_another_systems_arguments_are_no_matter():
    other = entry("systemd.mount-extra=LABEL=home:/home", root="/dev/sda9")
    assert points(mounted({}, HOME, entries=(other,))) == {}


def test_the_root_says_what_the_system_calls_its_disk():
    files = fstab("/dev/sdb2 /home ext4", "/dev/sda2 /data ext4")
    assert points(mounted(files, HOME, entries=(entry("root=/dev/sdb1"),))) == {
        "/home": ["/dev/sda2"]
    }


def test_the_number_of_a_partition_says_what_it_may_be_whatever_the_disk_is_called():
    args = entry("root=/dev/sda1 systemd.mount-extra=/dev/vda3:/b")
    found = mounted(fstab("/dev/sdb2 /home ext4"), HOME, volume(3), entries=(args,))
    assert [item.device for item in found.unsearched] == ["/dev/sdb2", "/dev/vda3"]
    beside = mounted(fstab("/dev/sdb2 /b ext4", "/dev/sda2 /home ext4"), HOME, entries=(args,))
    assert [item.device for item in beside.unsearched] == []
    only_vda = entry(
        "root=UUID=aaaa-1 systemd.mount-extra=/dev/vda2:/b systemd.mount-extra=/dev/nvme0n1p3:/c"
    )
    assert set(points(mounted({}, HOME, volume(3), entries=(only_vda,)))) == {"/b", "/c"}


def test_volumes_that_share_a_name_are_all_searched():
    twin = volume(4, label="home")
    assert points(mounted(fstab("LABEL=home /home ext4"), HOME, twin)) == {
        "/home": ["/dev/sda2", "/dev/sda4"]
    }


def test_partitions_that_nothing_else_mounts_are_mounted_by_type():
    table = PartitionTable(
        "gpt",
        "",
        (
            Partition(2, 0, 1, TYPES["/home"], uuid="pu-2"),
            Partition(4, 0, 1, TYPES["/var/tmp"], uuid="pu-4"),
            Partition(5, 0, 1, ESP, uuid="pu-5"),
        ),
    )
    volumes = (HOME, volume(4, "xfs"), volume(5, "vfat"))
    found = mounted(fstab("/dev/sda4 /home xfs"), *volumes, table=table)
    assert points(found) == {
        "/home": ["/dev/sda4"], "/var/tmp": ["/dev/sda4"], "/efi": ["/dev/sda5"]
    }  # fmt: skip
    found = mounted(fstab("/dev/sda5 /boot/efi vfat"), *volumes, table=table)
    assert points(found)["/boot/efi"] == ["/dev/sda5"] and "/efi" not in points(found)


def test_a_boot_partition_of_an_mbr_is_searched_too():
    table = PartitionTable("dos", "", (Partition(5, 0, 1, "ef"),))
    assert points(mounted({}, volume(5, "vfat"), table=table)) == {"/efi": ["/dev/sda5"]}


def test_a_partition_that_is_mounted_by_type_and_cannot_be_read_is_told():
    table = PartitionTable("gpt", "", (Partition(4, 0, 1, TYPES["/srv"], uuid="pu-4"),))
    found = mounted({}, volume(4, "f2fs"), table=table)
    (item,) = found.unsearched
    assert (item.name, item.named_in) == ("/srv", "the partition table")
    assert item.reason == "holds f2fs, which is not read here"


THIN = VolumeGroup("vg", "", 1, (5,), (LogicalVolume("vg", "home", 10, (), "it is thin"),))
MD = "3749f528-5d5a-2d2b-f0ee-4da9b6a4c1d2"


@pytest.mark.parametrize(
    ("files", "volumes", "device", "reason"),
    [
        (fstab("UUID=aaaa-3 /a ext4"), (LUKS,), "UUID=aaaa-3", "is encrypted"),
        (fstab("/dev/mapper/x /a ext4") | {"etc/crypttab": "x UUID=aaaa-3 none\n"}, (LUKS,),
         "/dev/mapper/x", "is encrypted"),
        (fstab("/dev/mapper/x-y /a ext4"), (LUKS,), "/dev/mapper/x-y",
         "may be /dev/sda3, which is encrypted"),
        (fstab("/dev/vg/data /a ext4"), (LUKS,), "/dev/vg/data", "may be /dev/sda3"),
        (fstab("UUID=none /a ext4"), (LUKS,), "UUID=none", "may be /dev/sda3"),
        (fstab("LABEL=none /a ext4"), (volume(3, ""),), "LABEL=none", "nothing that is recognised"),
        (fstab("/dev/vg/home /a ext4"), (), "/dev/vg/home", "cannot be read: it is thin"),
        (fstab("/dev/mapper/vg-home /a ext4"), (), "/dev/mapper/vg-home", "it is thin"),
        (fstab("UUID=none /a ext4"), (), "UUID=none", "may be /dev/vg/home, which cannot be read"),
        (fstab("/dev/md0 /a ext4") | {"etc/mdadm.conf": f"ARRAY /dev/md0 UUID={MD}\n"},
         (volume(3, "linux_raid_member", uuid=MD),), "/dev/md0", "holds linux_raid_member"),
        (fstab("/dev/md7 /a ext4"), (volume(3, "linux_raid_member"),), "/dev/md7", "linux_raid"),
        (fstab("/dev/sdb2 /a ext4"), (), "/dev/sdb2", "may be /dev/sda2, which is searched under"),
        (fstab("/dev/disk/by-id/wwn-0x5 /a ext4"), (), "/dev/disk/by-id/wwn-0x5", "/dev/sda2"),
        (fstab("PARTUUID=9 /a ext4"), (volume(3, "partition table"),), "PARTUUID=9", "of its own"),
        (fstab("/dev/sda3 /a ext4"), (volume(3, "swap"),), "/dev/sda3", "holds swap"),
        (fstab("/dev/sda3 /a erofs"), (volume(3, "erofs"),), "/dev/sda3", "holds erofs"),
        (fstab("/dev/sda2 /a ext4 loop", "/disk.img /b ext4 loop") | {"disk.img": "1"}, (),
         "/disk.img", "is a filesystem in a file"),
        (fstab("/dev/vg/home none swap"), (), "/dev/vg/home", "it is thin"),
        ({f"{OWN}/a.mount": "[Mount]\nWhat=UUID=aaaa-3\nWhere=/a\n"}, (LUKS,), "UUID=aaaa-3",
         "is encrypted"),
    ],
)  # fmt: skip
def test_what_belongs_to_the_disk_and_cannot_be_searched_is_told(files, volumes, device, reason):
    found = mounted(
        files, HOME, *volumes, groups=(THIN,) if "thin" in reason or "vg/home" in reason else ()
    )
    (item,) = found.unsearched
    assert item.device == device
    assert reason in item.reason
    assert item.named_in.startswith("/etc/") and item.named_in[-2] == ":"


@pytest.mark.parametrize(
    ("line", "noted"),
    [
        ("server:/export /a nfs", False),
        ("//server/share /a cifs", False),
        ("tmpfs /a tmpfs", False),
        ("/srv /a none bind", False),
        ("/nowhere /a none bind", False),
        ("/dev/sda3 none swap", False),
        ("/dev/zram0 none swap", False),
        ("UUID=none /a ext4", True),
        ("PARTUUID=none /a ext4", True),
        ("/dev/sda9 /a ext4", True),
        ("/dev/sdb2 /a ext4", True),
        ("/dev/vg/data /a ext4", True),
        ("UUID=none none swap", True),
        ("/dev/sr0 /a iso9660", False),
    ],
)
def test_what_is_of_no_volume_here_is_no_obstacle(line, noted):
    """All that is on the disk is searched: what else is named lies on no part of it."""
    found = mounted(fstab("UUID=aaaa-2 /home ext4", line), HOME, volume(3, "swap"))
    assert found.unsearched == ()
    assert bool(found.notes) is noted
    assert all("is on no volume of this disk" in note for note in found.notes)


def test_boot_loaders_partitions_hold_nothing_that_a_name_may_mean():
    types = ("21686148-6449-6E6F-744E-656564454649", "9E1A2D38-C612-4316-AA26-8B49521E5A8B")
    table = PartitionTable("gpt", "", tuple(Partition(n, 0, 1, t) for n, t in enumerate(types, 3)))
    found = mounted(fstab("UUID=none /a ext4"), volume(3, ""), volume(4, ""), table=table)
    assert found.unsearched == () and len(found.notes) == 1


def test_a_subvolume_that_is_not_there_is_told_like_the_rest():
    whole = volume(2, "btrfs", uuid="aaaa-2", subvolumes=(Subvolume(257, "@home"),))
    lines = ("UUID=aaaa-2 /home btrfs subvol=@homes", "UUID=aaaa-2 /srv btrfs subvolid=300")
    found = mounted(fstab(*lines, "UUID=aaaa-2 /var btrfs subvol=@home"), whole)
    assert points(found) == {"/var": ["/dev/sda2[/@home]"]}
    assert [item[0] for item in left(found)] == ["/home", "/srv"]
    assert "subvol=@homes names no subvolume of /dev/sda2" in left(found)[0][2]
    assert "subvolid=300 names no subvolume" in left(found)[1][2]


def test_a_volume_that_fails_to_be_read_is_told():
    found = mounted(fstab("UUID=aaaa-2 /home ext4"), HOME, torn=("/dev/sda2",))
    assert left(found) == [("/home", "UUID=aaaa-2", "cannot be read: it is torn")]
    torn = msgspec.structs.replace(HOME, type="btrfs", unreadable="its trees are damaged")
    found = mounted(fstab("UUID=aaaa-2 /home btrfs"), torn)
    assert left(found) == [("/home", "UUID=aaaa-2", "cannot be read: its trees are damaged")]


def test_what_was_opened_is_searched():
    inside = msgspec.structs.replace(HOME, device=LUKS.opened, place=())
    files = fstab("/dev/mapper/x /home ext4", "UUID=none /a ext4") | {
        "etc/crypttab": "x UUID=aaaa-3 none\n"
    }
    found = mounted(files, LUKS, inside)
    assert points(found) == {"/home": [LUKS.opened]}
    assert found.unsearched == () and len(found.notes) == 1


def test_swap_files_and_swap_that_is_made_at_each_boot_are_no_obstacle():
    files = fstab("/swapfile none swap", "/dev/mapper/s none swap") | {
        "etc/crypttab": "s UUID=aaaa-3 /dev/urandom swap\n",
        f"{OWN}/b.swap": "[Swap]\nWhat=/b\n",
    }
    found = mounted(files, LUKS)
    assert found.swap_files == ("/swapfile", "/b")
    assert found.unsearched == ()
    still = mounted(files | {"etc/crypttab": "s UUID=aaaa-3 none\n"}, LUKS)
    assert [(item[0], item[1]) for item in left(still)] == [("/dev/mapper/s", "/dev/mapper/s")]


def test_a_folder_that_is_bound_has_both_names():
    files = fstab("/data/home /home none bind", "/dev/sda2 /data xfs", "/etc/a /b none bind")
    found = mounted(files | {"data/home/x": "", "etc/a": "1"}, HOME)
    assert points(found) == {"/data": ["/dev/sda2"], "/home": ["/dev/sda1/data/home"],
                             "/b": ["/dev/sda1/etc/a"]}  # fmt: skip


def test_a_pool_of_zfs_mounts_itself():
    (item,) = mounted({}, volume(3, "zfs_member")).unsearched
    assert (item.name, item.named_in) == ("/dev/sda3", "the disk itself")


def test_a_file_that_makes_no_sense_may_name_volumes_and_the_others_are_read():
    files = fstab(*["a b c"] * 20_000) | {
        f"{OWN}/home.mount": UNIT,
        f"{OWN}/odd.mount": "[Mount]\nWhat=/dev/\\\nsda2\n",
    }
    found = mounted(files, HOME)
    assert points(found) == {"/home": ["/dev/sda2"]}
    names = [item.name for item in found.unsearched]
    assert names == ["/etc/fstab", "/etc/systemd/system/odd.mount"]
    assert "may name volumes" in found.unsearched[0].reason


def test_what_another_engine_could_read_is_no_answer():
    reader, inspected = opened({"/dev/sda1": fstab("")}, ROOT)
    engine: Any = reader.engine
    engine.unreadable.add("/etc/fstab")
    with pytest.raises(CannotServe):
        mounts.find(reader, inspected, Tree({"": (Place(ROOT, ""),)}))
