"""The names by which kernel arguments call a volume."""

import msgspec
import pytest

from bakery.disk.volumes.volumes import (
    LUKS,
    LogicalVolume,
    PartitionTable,
    Volume,
    VolumeGroup,
)
from bakery.host.errors import BakeryError
from bakery.image.root_volume import ROOT_TYPES, answers, root_volume
from tests.image.test_boot_entries import BOOT, LV, PARTITION, ROOT, VOLUMES, Files, reader


@pytest.mark.parametrize(
    ("wanted", "volume"),
    [
        ("UUID=2007-02", ROOT),
        ('UUID="2007-02"', ROOT),
        ("uuid=2007-02", None),
        ("LABEL=the root", ROOT),
        ("PARTUUID=5EED-02", ROOT),
        ("/dev/sda2", ROOT),
        ("/dev/vda2", ROOT),
        ("/dev/nvme0n1p2", ROOT),
        ("LABEL=THE ROOT", None),
        ("/dev/disk/by-label/the\\x20root", ROOT),
        ("/dev/disk/by-uuid/2007-02", ROOT),
        ("/dev/disk/by-label/boot", BOOT),
        ("/dev/mapper/vg--a-root", LV),
        ("/dev/vg-a/root", LV),
        ("UUID=", None),
        ("LABEL=", None),
        ("/dev/disk/by-label/", None),
        ("/dev/sda", None),
    ],
)
def test_a_root_is_named_in_many_ways(wanted: str, volume: Volume | None):
    asked = reader(Files({}))
    assert [v for v in VOLUMES if answers(wanted, v, asked)] == ([volume] if volume else [])


def test_the_disk_that_the_root_is_on_is_this_one():
    asked = reader(Files({}))
    assert root_volume("e", ("root=/dev/sdb2",), asked, ()) == ROOT
    with pytest.raises(BakeryError, match="matches no volume"):
        root_volume("e", ("root=/dev/sdb7",), asked, ())


def test_of_several_roots_the_one_whose_partition_says_so_is_it():
    asked = reader(Files({}))
    roots = (ROOT.device, LV.device)
    with pytest.raises(BakeryError, match="2 root filesystems"):
        root_volume("e", ("ro",), asked, roots)
    by_type = msgspec.structs.replace(PARTITION, type=ROOT_TYPES[0].lower())
    table = PartitionTable("gpt", "", (by_type,))
    asked.survey = msgspec.structs.replace(asked.survey, table=table)
    assert root_volume("e", ("ro", "root=gpt-auto"), asked, roots) == ROOT


@pytest.mark.parametrize("name", ["/dev/mapper/vg--b-root", "/dev/vg-b/root"])
def test_a_root_whose_bytes_cannot_be_told_is_named_for_what_it_is(name: str):
    asked = reader(Files({}))
    thin = LogicalVolume("vg-b", "root", 1, (), "it is a thin volume (LVM type thin)")
    group = VolumeGroup("vg-b", "", 1, (4,), (thin,))
    asked.survey = msgspec.structs.replace(asked.survey, groups=(*asked.survey.groups, group))
    with pytest.raises(BakeryError, match=r"root=/dev/.* cannot be read: it is a thin volume"):
        root_volume("x", (f"root={name}",), asked, ())


def test_a_root_in_an_opened_luks_goes_by_the_name_that_the_arguments_give_it():
    asked = reader(Files({}))
    locked = Volume("/dev/sda5", 1, (), LUKS, "lu-ks")
    inside = Volume("/dev/mapper/luks-lu-ks", 1, (), "ext4", "in-side")
    volumes = (*asked.survey.volumes, locked, inside)
    asked.survey = msgspec.structs.replace(asked.survey, volumes=volumes)
    for args in (
        ("root=/dev/mapper/luks-lu-ks",),
        ("root=/dev/mapper/crypt", "rd.luks.name=lu-ks=crypt"),
        ("root=/dev/mapper/crypt", "cryptdevice=UUID=lu-ks:crypt"),
    ):
        assert root_volume("e", args, asked, ()) == inside
    with pytest.raises(BakeryError, match="matches no volume"):
        root_volume("e", ("root=/dev/mapper/crypt", "rd.luks.name=other=crypt"), asked, ())
