"""Which subvolume mount options lead to."""

import pytest

from bakery.disk.volumes.volumes import Subvolume, Volume
from bakery.host.errors import BakeryError
from bakery.image.subvolumes import mounted_with

SUBVOLUMES = (
    Subvolume(256, "@"),
    Subvolume(257, "@home"),
    Subvolume(301, "@/.snapshots/1/snapshot", is_default=True),
)
BTRFS = Volume("/dev/sda3", 1, (), "btrfs", subvolumes=SUBVOLUMES)
DEFAULT = "@/.snapshots/1/snapshot"


@pytest.mark.parametrize(
    ("options", "subvolume"),
    [
        ("", DEFAULT),
        ("defaults,compress=zstd:1", DEFAULT),
        ("subvol=@", "@"),
        ("compress=zstd:1,subvol=@home,noatime", "@home"),
        ("subvol=/@/.snapshots/1//snapshot/", DEFAULT),
        ("subvol=/", ""),
        ("subvol=", ""),
        ("subvolid=257", "@home"),
        ("subvolid=5", ""),
        ("subvolid=0", ""),
        ("subvol=@home,subvol=@", "@"),
        ("subvolid=256,subvol=/@", "@"),
        ("xsubvol=@,subvolx=@", DEFAULT),
    ],
)
def test_options_lead_to_the_subvolume_the_kernel_mounts(options: str, subvolume: str):
    for view in (BTRFS, BTRFS.at(SUBVOLUMES[1])):
        assert mounted_with(view, options.split(",")).subvolume == subvolume


@pytest.mark.parametrize(
    "options",
    [
        "subvol=root",
        "subvol=home",
        "subvolid=258",
        "subvolid=x",
        "subvolid=",
        f"subvolid={9:05000}",
    ],
)
def test_what_is_no_subvolume_is_refused(options: str):
    with pytest.raises(BakeryError, match=f"{options} names no subvolume of /dev/sda3") as caught:
        mounted_with(BTRFS, [options])
    assert caught.value.hint


def test_two_options_that_do_not_agree_are_refused():
    with pytest.raises(BakeryError, match="are two subvolumes of /dev/sda3"):
        mounted_with(BTRFS, ["subvol=@", "subvolid=257"])


def test_a_volume_whose_subvolumes_cannot_be_told_says_why():
    torn = Volume("/dev/sda3", 1, (), "btrfs", unreadable="it is torn")
    with pytest.raises(BakeryError, match="no subvolume of /dev/sda3: it is torn"):
        mounted_with(torn, ["subvol=@"])


def test_another_filesystem_has_no_subvolumes():
    other = Volume("/dev/sda2", 1, (), "ext4")
    assert mounted_with(other, ["subvol=@"]) == other
