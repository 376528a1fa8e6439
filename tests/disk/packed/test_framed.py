import json
import os
import subprocess

import pytest

from bakery.disk.packed import framed
from bakery.host.errors import BakeryError

MIB = 1 << 20


@pytest.fixture
def partition(tmp_path):
    """A partition's bytes under a name that would break a descriptor's quotes."""
    path = tmp_path / 'odd "name", \n.raw'
    path.write_bytes(os.urandom(MIB) + bytes(3 * MIB) + os.urandom(512))
    return path


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "scratch"
    made.mkdir()
    return made


def as_raw(descriptor, target):
    """What QEMU shows behind a descriptor."""
    words = ["qemu-img", "convert", "-f", "vmdk", "-O", "raw", descriptor, target]
    subprocess.run(words, check=True)
    return target


def test_the_disk_holds_the_partition_where_its_table_says(partition, folder, tmp_path):
    descriptor = framed.frame(partition, folder, framed.LINUX_LVM)
    raw = as_raw(descriptor, tmp_path / "raw")
    told = subprocess.run(["/sbin/sfdisk", "--json", raw], check=True, capture_output=True).stdout
    table = json.loads(told)["partitiontable"]
    assert table["label"] == "dos"
    (entry,) = table["partitions"]
    assert entry["type"] == "8e"
    start, size = entry["start"] * 512, entry["size"] * 512
    assert size == partition.stat().st_size
    content = raw.read_bytes()
    assert content[start : start + size] == partition.read_bytes()
    assert len(content) == start + size


def test_the_partition_is_neither_copied_nor_written(partition, folder):
    before = partition.read_bytes()
    framed.frame(partition, folder, framed.LINUX)
    own = [path for path in folder.iterdir() if not path.is_symlink()]
    assert sum(path.stat().st_size for path in own) <= MIB + 4096
    assert partition.read_bytes() == before


@pytest.mark.parametrize("size", [0, 1, 511, 513])
def test_a_file_that_is_no_partition_is_refused(tmp_path, folder, size):
    odd = tmp_path / "odd"
    odd.write_bytes(bytes(size))
    with pytest.raises(BakeryError, match="not a whole number of sectors"):
        framed.frame(odd, folder, framed.LINUX)


def test_a_partition_the_table_cannot_tell_is_refused(tmp_path, folder):
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(2 << 40)
    with pytest.raises(BakeryError, match="too large"):
        framed.frame(huge, folder, framed.LINUX)
