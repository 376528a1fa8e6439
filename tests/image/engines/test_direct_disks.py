"""What lies on a disk in more than one piece, and disks of other sectors: the direct engine."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bakery.disk.extents import Extent
from bakery.disk.formats import safety
from bakery.host.report import silent
from bakery.image.engines import direct
from bakery.image.engines.direct import DirectEngine
from tests.disk.volumes import disks_4k, pvs
from tests.image.engines.conftest import TEXT, ext4

pytestmark = [
    pytest.mark.skipif(direct.why_not() is not None, reason=str(direct.why_not())),
    pytest.mark.xdist_group("direct"),
]

MIB = 1 << 20
PARTS = [(MIB, pvs.SIZE_BYTES, "one"), (18 * MIB, pvs.SIZE_BYTES, "two")]
# Of tests/disk/volumes/pvs: `spread` has extent 4 of either physical volume, behind the first MiB.
PIECES = (Extent(MIB + 5 * MIB, MIB), Extent(18 * MIB + 5 * MIB, MIB))


def mbr(disk: Path) -> None:
    lines = [f"start={start // 512}, size={size // 512}, type=8e" for start, size, _ in PARTS]
    script = "\n".join(["label: dos", *lines])
    subprocess.run(["sfdisk", "-q", disk], input=script.encode(), check=True)


def gpt_4k(disk: Path) -> None:
    disks_4k.write_table(disk, PARTS)


@pytest.mark.parametrize(("table", "sectors"), [(mbr, 512), (gpt_4k, 4096)])
def test_a_volume_on_two_partitions_of_a_disk_is_read_and_edited(
    tree: Path, tmp_path: Path, table: Callable[[Path], None], sectors: int
):
    disk = tmp_path / "disk.raw"
    disk.write_bytes(b"")
    os.truncate(disk, 40 * MIB)
    table(disk)
    content = ext4(tmp_path / "fs", tree, 2 * MIB).read_bytes()
    with disk.open("r+b") as file:
        for (start, _, _), name in zip(PARTS, ("kinds", "second"), strict=True):
            os.pwrite(file.fileno(), pvs.load(name), start)
        for number, piece in enumerate(PIECES):
            os.pwrite(file.fileno(), content[number * MIB : (number + 1) * MIB], piece.offset)
    with DirectEngine(disk, "raw", tmp_path, silent()) as engine:
        survey = engine.survey()
        assert survey.sector_bytes == sectors
        assert [group.partitions for group in survey.groups] == [(1, 2)]
        volume = survey.volume("/dev/atomicos/spread")
        assert volume is not None
        assert (volume.place, volume.type) == (PIECES, "ext4")
        assert engine.read_file(volume, "/etc/fstab") == TEXT
        assert engine.cannot_edit(volume, "/etc/fstab") is None
        engine.replace(volume, "/etc/fstab", TEXT, b"#" * len(TEXT))
        assert engine.read_file(volume, "/etc/fstab") == b"#" * len(TEXT)
        (written,) = engine.written
    assert any(piece.offset <= written.offset < piece.end for piece in PIECES)


@pytest.mark.parametrize("kind", ["ext4", "vfat"])
def test_a_filesystem_that_fills_the_disk_is_one_though_its_boot_sector_ends_as_a_table_does(
    tree: Path, tmp_path: Path, kind: str
):
    """What extlinux and mkfs.vfat write there is code, where an MBR has its partitions."""
    disk = tmp_path / "disk.raw"
    if kind == "ext4":
        ext4(disk, tree)
        with disk.open("r+b") as file:
            os.pwrite(file.fileno(), b"\xeb\x58" + b"\x80\x7e\xb9\x3c" * 127 + b"\x55\xaa", 0)
    else:
        disk.write_bytes(b"")
        os.truncate(disk, 32 * MIB)
        subprocess.run(["mkfs.vfat", "-F", "32", disk], check=True, capture_output=True)
        with disk.open("r+b") as file:
            os.pwrite(file.fileno(), b"\x80\x7e\xb9\x3c" * 16, 446)
    with DirectEngine(disk, "raw", tmp_path, silent()) as engine:
        survey = engine.survey()
    assert survey.table is None
    assert [(v.device, v.type) for v in survey.volumes] == [("/dev/sda", kind)]
    assert safety.check(disk).findings == ()


def test_a_filesystem_larger_than_its_partition_is_noticed(tree: Path, tmp_path: Path):
    """As a table leaves it that was made smaller, and nobody had shrunk the filesystem before."""
    disk = tmp_path / "disk.raw"
    content = ext4(tmp_path / "fs", tree, 32 * MIB).read_bytes()
    disk.write_bytes(bytes(MIB) + content + bytes(MIB))
    told = f"label: gpt\nstart=2048, size={16 * MIB // 512}, type=linux\n"
    subprocess.run(["sfdisk", "-q", disk], input=told.encode(), check=True)
    with DirectEngine(disk, "raw", tmp_path, silent()) as engine:
        (volume,) = engine.survey().volumes
    assert volume.filesystem_bytes == 32 * MIB
    assert volume.cut_short == (
        "the ext4 in /dev/sda1 spans 33554432 bytes, 16777216 more than /dev/sda1 has"
    )
