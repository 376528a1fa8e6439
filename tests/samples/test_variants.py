import pytest

from bakery.host.errors import UsageError
from bakery.samples import variants
from bakery.samples.variants import LogicalVolume


def test_every_variant_the_documents_name_is_there_once():
    assert [variant.name for variant in variants.VARIANTS] == [
        "default",
        "two-deployments",
        "uefi-gpt",
        "btrfs-nolvm",
        "ext4-nolvm",
        "othernames",
        "split-lv",
        "no-boot-line",
        "boot-words",
        "plain",
        "arm64",
    ]


def test_an_unknown_variant_is_refused_with_the_known_names():
    with pytest.raises(UsageError) as refusal:
        variants.find("defualt")
    assert "default" in refusal.value.hint


@pytest.mark.parametrize(
    ("vg", "lv", "device"),
    [
        ("atomicos", "root", "/dev/mapper/atomicos-root"),
        ("cah-vg0", "sys-root", "/dev/mapper/cah--vg0-sys--root"),
    ],
)
def test_device_mapper_doubles_hyphens(vg, lv, device):
    assert LogicalVolume(vg, lv).device == device


def test_the_root_volume_is_three_gibibytes_however_it_is_split():
    sizes = {variant.lvm.extents for variant in variants.VARIANTS if variant.lvm}
    assert sizes == {3 * variants.GIB // (4 * variants.MIB)}


def test_split_lv_leaves_a_hole_between_its_segments():
    volume = variants.find("split-lv").lvm
    assert volume is not None
    (first, count), (second, _) = volume.segments
    assert first + count < second


def test_no_line_of_boot_words_mounts_boot():
    for line in variants.BOOT_WORDS:
        assert "boot" in line
        assert line.startswith("#") or line.split()[1] != "/boot"


def test_what_a_variant_does_not_say_is_as_in_2014():
    default = variants.find("default")
    assert (default.deployments, default.firmware, default.root_filesystem) == (1, "bios", "xfs")
    assert (default.fstab_boot, default.boot_partition) == (True, True)
    assert (default.disk_bytes, default.compression) == (6 << 30, "zlib")
    assert variants.find("two-deployments").deployments == 2
    assert not variants.find("no-boot-line").fstab_boot
    assert not variants.find("plain").boot_partition
    assert default.lvm is not None
    assert default.lvm.segments == ((0, 768),)
