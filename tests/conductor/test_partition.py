"""The disk of a partition image, told by the programs that will read it."""

import json
import os
import subprocess
from uuid import UUID

import pytest

from bakery.conductor import partition
from bakery.conductor.contents import fitting
from bakery.conductor.disk_writer import write_and_verify
from bakery.conductor.partition import MIB, Extras
from bakery.host.errors import BakeryError
from tests.conductor import builds
from tests.node.agent.memory import Memory

DISK_BYTES = 160 * MIB
IDENTITY = UUID("12345678-93a5-4f0a-8d43-0d2f4d5c0a11")


def laid_out(tmp_path, build, extras):
    """A disk file with everything on it."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    disk = Memory(DISK_BYTES)
    made = partition.pieces(build, extras, DISK_BYTES, IDENTITY, scratch)
    write_and_verify(disk, fitting(made, DISK_BYTES), lambda *_told: None)
    path = tmp_path / "disk"
    path.write_bytes(disk.content)
    return path


def table(path):
    done = run("sfdisk", "--json", path)
    return json.loads(done)["partitiontable"]


def run(*words):
    environment = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}
    done = subprocess.run(words, check=True, capture_output=True, text=True, env=environment)
    return done.stdout


def probe(path, part):
    """What blkid finds in a partition."""
    words = ("-p", "-o", "export", "-O", str(part["start"] * 512), "-S", str(part["size"] * 512))
    lines = run("blkid", *words, path).splitlines()
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize(("layout", "kind"), [("pv", "8e"), ("lv", "83")])
def test_a_lone_root_begins_at_one_mib_and_takes_the_disk(tmp_path, layout, kind):
    build = builds.build(tmp_path / "build", layout)
    path = laid_out(tmp_path, build, Extras())
    found = table(path)
    assert found["label"] == "dos"
    assert found["id"] == "0x12345678"
    (root,) = found["partitions"]
    assert (root["start"], root["type"]) == (2048, kind)
    assert root["size"] * 512 == DISK_BYTES - MIB
    content = path.read_bytes()
    assert content[MIB : MIB + builds.BASE_BYTES] == build.base.read_bytes()


def test_ephemeral_swap_and_config_drive_come_before_the_root(tmp_path):
    drive = tmp_path / "drive"
    drive.write_bytes(b"config" * 1000)
    path = laid_out(tmp_path, builds.build(tmp_path / "build"), Extras(32, 16, drive))
    ephemeral, swap, config, root = table(path)["partitions"]
    assert [part["type"] for part in (ephemeral, swap, config, root)] == ["83", "82", "83", "8e"]
    assert [part["size"] // 2048 for part in (ephemeral, swap, config)] == [32, 16, 64]
    assert probe(path, ephemeral)["LABEL"] == "ephemeral0"
    assert probe(path, ephemeral)["TYPE"] == "ext4"
    found = probe(path, swap)
    assert (found["TYPE"], found["LABEL"], found["UUID"]) == ("swap", "swap1", str(IDENTITY))
    start = config["start"] * 512
    assert path.read_bytes()[start : start + 6000] == drive.read_bytes()


def test_a_whole_disk_is_the_base_from_the_first_byte(tmp_path):
    build = builds.build(tmp_path / "build", "disk")
    path = laid_out(tmp_path, build, Extras())
    assert path.read_bytes()[: builds.BASE_BYTES] == build.base.read_bytes()


def test_a_whole_disk_has_no_room_for_extras(tmp_path):
    build = builds.build(tmp_path / "build", "disk")
    with pytest.raises(BakeryError, match="partition table of its own"):
        partition.pieces(build, Extras(swap_mib=1), DISK_BYTES, IDENTITY, tmp_path)


@pytest.mark.parametrize("layout", ["pv", "disk"])
def test_a_disk_too_small_is_refused_with_both_sizes(tmp_path, layout):
    build = builds.build(tmp_path / "build", layout)
    with pytest.raises(BakeryError, match=r"has 41943039 bytes, but \d+ are needed"):
        small = builds.BASE_BYTES - 1
        fitting(partition.pieces(build, Extras(), small, IDENTITY, tmp_path), small)


def test_a_config_drive_larger_than_its_partition_is_refused(tmp_path):
    drive = tmp_path / "drive"
    drive.touch()
    drive.open("r+b").truncate(65 * MIB)
    build = builds.build(tmp_path / "build")
    with pytest.raises(BakeryError, match=r"config drive .* has 68157440 bytes"):
        partition.pieces(build, Extras(config_drive=drive), DISK_BYTES, IDENTITY, tmp_path)


def test_the_root_of_a_huge_disk_ends_where_an_mbr_can_still_say_it(tmp_path):
    (root,) = partition.partitions(builds.build(tmp_path / "build"), Extras(), 8 << 40)
    assert root.size_bytes // 512 < 1 << 32
    assert root.size_bytes > (2 << 40) - 2 * MIB


def test_a_base_that_is_not_as_long_as_its_manifest_says_is_refused(tmp_path):
    build = builds.build(tmp_path / "build")
    with build.base.open("ab") as file:
        file.write(b"more")
    with pytest.raises(BakeryError, match="but its manifest says 41943040"):
        partition.pieces(build, Extras(), DISK_BYTES, IDENTITY, tmp_path)


@pytest.mark.parametrize(("layout", "kind"), [("pv", 0x8E), ("lv", 0x83)])
def test_partitions_follow_each_other_from_the_first_mib_on(tmp_path, layout, kind):
    drive = tmp_path / "drive"
    drive.write_bytes(b"x")
    build = builds.build(tmp_path / "build", layout)
    found = partition.partitions(build, Extras(32, 16, drive), DISK_BYTES + 4096)
    assert found == (
        partition.Partition("ephemeral", 0x83, MIB, 32 * MIB),
        partition.Partition("swap", 0x82, 33 * MIB, 16 * MIB),
        partition.Partition("config drive", 0x83, 49 * MIB, 64 * MIB),
        partition.Partition("root", kind, 113 * MIB, DISK_BYTES - 113 * MIB),
    )


def test_a_root_that_just_fits_is_taken(tmp_path):
    build = builds.build(tmp_path / "build")
    (root,) = partition.partitions(build, Extras(), builds.BASE_BYTES + MIB)
    assert root.size_bytes == builds.BASE_BYTES
    with pytest.raises(BakeryError, match=f"but {builds.BASE_BYTES + MIB} are needed"):
        partition.partitions(build, Extras(), builds.BASE_BYTES + MIB - 1)


def test_a_root_that_an_mbr_cannot_place_is_refused(tmp_path):
    build = builds.build(tmp_path / "build")
    least = (2 << 20) - 1  # the root begins at 2 TiB exactly
    with pytest.raises(BakeryError, match="would start beyond 2 TiB"):
        partition.partitions(build, Extras(ephemeral_mib=least), 8 << 40)
    assert partition.partitions(build, Extras(ephemeral_mib=least - 1), 8 << 40)


def test_the_table_is_that_of_an_mbr_byte_for_byte():
    parts = [partition.Partition("root", 0x8E, MIB, 3 * MIB)] * 2
    sector = partition.mbr(parts, 0x12345678)
    assert len(sector) == 512 and not any(sector[:440])
    assert sector[440:446] == bytes.fromhex("785634120000")
    entry = bytes.fromhex("00feffff8efeffff0008000000180000")
    assert sector[446:478] == entry * 2
    assert sector[478:] == bytes(32) + b"\x55\xaa"


def test_a_swap_area_begins_with_the_page_of_mkswap(tmp_path):
    page = partition.swap_header(16 * MIB, IDENTITY)
    (tmp_path / "swap").write_bytes(page + bytes(16 * MIB - 4096))
    assert len(page) == 4096
    real = tmp_path / "real"
    real.write_bytes(bytes(16 * MIB))
    run("mkswap", "-q", "-L", "swap1", "-U", str(IDENTITY), real)
    assert page == real.read_bytes()[:4096]


@pytest.mark.parametrize("size", [0, 64 * MIB + 1])
def test_a_config_drive_of_no_use_is_refused(tmp_path, size):
    drive = tmp_path / "drive"
    drive.touch()
    os.truncate(drive, size)
    with pytest.raises(BakeryError, match=f"has {size} bytes; 1 to {64 * MIB} are allowed"):
        partition.check(builds.build(tmp_path / "build"), Extras(config_drive=drive))


def test_the_largest_and_the_smallest_config_drive_are_taken(tmp_path):
    drive = tmp_path / "drive"
    drive.touch()
    build = builds.build(tmp_path / "build")
    for size in (1, 64 * MIB):
        os.truncate(drive, size)
        partition.check(build, Extras(config_drive=drive))
    drive.unlink()
    with pytest.raises(BakeryError, match="cannot be read: No such file"):
        partition.check(build, Extras(config_drive=drive))


def test_a_whole_disk_without_extras_is_fine(tmp_path):
    partition.check(builds.build(tmp_path / "build", "disk"), Extras())
