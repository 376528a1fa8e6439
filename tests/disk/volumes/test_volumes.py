"""What a disk holds, looked up by name."""

from bakery.disk.extents import Extent
from bakery.disk.volumes.volumes import LogicalVolume, Subvolume, Survey, Volume, VolumeGroup


def test_a_volume_is_found_by_its_device_and_another_is_not():
    one, other = (LogicalVolume(vg="vg", name=name, size_bytes=1) for name in ("a", "b-c"))
    parts = [Volume(device=f"/dev/sda{n}", size_bytes=1, place=(Extent(0, 1),)) for n in (1, 2)]
    survey = Survey(
        size_bytes=1,
        table=None,
        groups=(
            VolumeGroup("vg", "u", 1 << 22, (1,), (one,)),
            VolumeGroup("x", "v", 1, (2,), (other,)),
        ),
        volumes=tuple(parts),
    )
    assert survey.logical_volume("/dev/vg/a") is one
    assert survey.logical_volume("/dev/vg/b-c") is other
    assert survey.logical_volume("/dev/vg/c") is None
    assert survey.volume("/dev/sda2") is parts[1]
    assert survey.volume("/dev/sda3") is None
    assert other.mapper == "/dev/mapper/vg-b--c"


def test_a_subvolume_is_the_same_volume_by_a_name_of_its_own():
    subvolumes = (Subvolume(256, "@"), Subvolume(300, "@/a [b]", is_default=True))
    whole = Volume("/dev/sda3", 1, (Extent(0, 1),), "btrfs", subvolumes=subvolumes)
    survey = Survey(size_bytes=1, table=None, groups=(), volumes=(whole,))
    one, other = (whole.at(subvolume) for subvolume in subvolumes)
    assert [view.name for view in (whole, one, other)] == [
        *("/dev/sda3", "/dev/sda3[/@]", "/dev/sda3[/@/a [b]]")
    ]
    assert [view.subvolume_id for view in (whole, one, other)] == [5, 256, 300]
    for view in (whole, one, other):
        assert survey.volume(view.name) == view
        assert (view.device, view.place) == (whole.device, whole.place)
        assert view.at(None) == whole
        assert view.mounted == other
    assert survey.volume("/dev/sda3[/@/a]") is None
    assert survey.volume("/dev/sda2[/@]") is None


def test_without_a_default_subvolume_the_whole_is_mounted():
    whole = Volume("/dev/sda3", 1, (), "btrfs", subvolumes=(Subvolume(256, "@"),))
    assert whole.at(whole.subvolumes[0]).mounted == whole
