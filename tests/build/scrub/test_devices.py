"""What a system's names for devices mean, and what on a disk they may mean at most."""

import pytest

from bakery.build.scrub.devices import Closed, Devices
from bakery.disk.volumes.volumes import Partition, PartitionTable, Volume, VolumeGroup
from bakery.system import fstab
from tests.build.scrub.trees import opened, volume

ROOT, HOME = volume(1, uuid="aaaa-1"), volume(2, uuid="aaaa-2", label="home")
LUKS = volume(3, "crypto_LUKS", uuid="aaaa-3")


def devices(*volumes, crypttab="", disk="", **more):
    reader, _ = opened({}, *volumes, **more)
    return Devices(reader, fstab.crypttab_mentions(crypttab.encode()), disk)


def may_be(device, *volumes, reached=(), **more):
    closed = devices(*volumes, **more).may_be(device, set(reached))
    return closed.device if closed else None


def test_a_name_leads_on_through_what_is_opened():
    known = devices(HOME, LUKS, crypttab="a /dev/mapper/b none\nb UUID=aaaa-3 none\n")
    assert known.named("/dev/mapper/a") == known.named("/dev/mapper/b") == (LUKS,)
    assert known.named("UUID=aaaa-2") == (HOME,)
    assert known.named("/dev/mapper/c") == ()


def test_what_is_opened_in_a_ring_ends():
    known = devices(HOME, crypttab="a /dev/mapper/b none\nb /dev/mapper/a none\n")
    assert known.named("/dev/mapper/a") == ()


def test_a_swap_of_a_key_of_its_own_is_made_at_boot():
    known = devices(LUKS, crypttab="s UUID=aaaa-3 /dev/urandom swap,cipher=x\nt UUID=1 none\n")
    assert known.is_made_at_boot("/dev/mapper/s")
    assert not known.is_made_at_boot("/dev/mapper/t")
    assert not known.is_made_at_boot("UUID=aaaa-3")


def test_what_is_swap_says_so():
    seen = devices().seen(volume(4, "swap"), ())
    assert seen == Closed("/dev/sda4", "holds swap, which is not read here", is_swap=True)


@pytest.mark.parametrize("device", ["UUID=1", "LABEL=a", "/dev/mapper/a", "/dev/vg/a", "/dev/md0"])
def test_a_name_of_its_own_may_be_in_what_is_closed(device):
    assert may_be(device, HOME, LUKS, reached=["/dev/sda2"]) == "/dev/sda3"
    assert may_be(device, HOME, LUKS, reached=["/dev/sda2", "/dev/sda3"]) is None
    shown = Volume(LUKS.opened, 1, (), "ext4")
    assert may_be(device, LUKS, shown, reached=[LUKS.opened]) is None
    assert may_be("UUID=1", LUKS, shown) is None


def test_what_has_names_and_holds_no_other_volume_is_not_meant_by_another_name():
    assert may_be("UUID=1", HOME, volume(4, "erofs"), volume(5, "swap")) is None
    assert may_be("/dev/md0", HOME) == "/dev/sda2", "it may be called so as well"
    assert may_be("server:/a", LUKS) is None


def test_a_partition_is_told_by_its_number():
    assert may_be("/dev/sdb2", ROOT, HOME, LUKS) == "/dev/sda2"
    assert may_be("/dev/sdb3", ROOT, HOME, LUKS) == "/dev/sda3"
    assert may_be("/dev/sdb4", ROOT, HOME, LUKS) is None
    assert may_be("/dev/sdb2", ROOT, HOME, LUKS, reached=["/dev/sda2"]) is None


def test_a_table_in_a_partition_may_have_more_partitions():
    nested = volume(4, "partition table")
    assert may_be("PARTUUID=1", LUKS, nested) == may_be("PARTLABEL=a", nested) == "/dev/sda4"
    assert may_be("PARTUUID=1", LUKS) is None


def test_what_a_group_is_made_of_holds_nothing_else():
    member = volume(4, "LVM2_member")
    group = VolumeGroup("vg", "", 1, (4,), ())
    table = PartitionTable("gpt", "", (Partition(4, 0, 1, "E6D6D379"),))
    assert may_be("UUID=1", member, table=table) == "/dev/sda4"
    assert may_be("UUID=1", member, table=table, groups=(group,)) is None


def test_the_bare_disk_is_no_more_than_its_partitions():
    disk = Volume("/dev/sda", 1, (), "")
    table = PartitionTable("gpt", "", (Partition(2, 0, 1, "L"),))
    assert may_be("UUID=1", disk, HOME, table=table) is None
    assert may_be("UUID=1", disk) == "/dev/sda"
