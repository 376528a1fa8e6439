"""The disk of a partition image, told by the programs that will read it."""

import json
import subprocess
from uuid import UUID

import pytest

from bakery.deploy import partition
from bakery.deploy.contents import fitting
from bakery.deploy.partition import MIB, Extras
from bakery.deploy.writing import Watcher, write_and_verify
from bakery.errors import BakeryError
from tests.deploy import builds
from tests.deploy.test_writing import Memory

DISK_BYTES = 256 * MIB
IDENTITY = UUID("12345678-93a5-4f0a-8d43-0d2f4d5c0a11")


def laid_out(tmp_path, build, extras):
    """A disk file with everything on it."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    disk = Memory(DISK_BYTES)
    made = partition.pieces(build, extras, DISK_BYTES, IDENTITY, scratch)
    write_and_verify(disk, fitting(made, DISK_BYTES), Watcher())
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
    with pytest.raises(BakeryError, match=r"has 41943039 bytes, and \d+ are needed"):
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
    with pytest.raises(BakeryError, match="and its manifest says 41943040"):
        partition.pieces(build, Extras(), DISK_BYTES, IDENTITY, tmp_path)
