import bz2
import gzip
import io
import lzma
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.disk.formats import detect
from bakery.disk.formats.detect import Ends
from bakery.disk.packed import frames
from bakery.host.errors import BakeryError


def ends(head: bytes, tail: bytes = b"") -> Ends:
    return Ends(head, tail, len(head))


def test_content_counts_not_the_name(tmp_path):
    path = tmp_path / "x.vmdk"
    path.write_bytes(b"QFI\xfb" + bytes(600))
    with detect.open_regular(path) as file:
        assert detect.sniff(detect.read_ends(file)) == "qcow2"


def test_a_footer_makes_a_raw_disk_a_fixed_vhd():
    assert detect.sniff(ends(bytes(600))) == "raw"
    assert detect.sniff(ends(bytes(600), b"conectix" + bytes(504))) == "vpc"


def test_every_mark_is_told_where_there_are_several():
    head = bytearray(b"QFI\xfb" + bytes(0x9000))
    head[0x8001:0x8006] = b"CD001"
    assert detect.image_kinds(ends(bytes(head), b"koly")) == ["qcow2", "iso", "dmg"]


def test_the_tail_of_a_short_file_overlaps_its_head(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    with detect.open_regular(path) as file:
        assert detect.read_ends(file) == Ends(b"abc", b"abc", 3)


@pytest.mark.parametrize(
    ("at", "magic"), [(510, b"\x55\xaa"), (1080, b"\x53\xef"), (0, b"XFSB"), (512, b"LABELONE")]
)
def test_disks_are_told_by_their_marks(at, magic):
    head = bytearray(2048)
    assert not detect.looks_like_a_disk(bytes(head))
    head[at : at + len(magic)] = magic
    assert detect.looks_like_a_disk(bytes(head))


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BakeryError, match="is a pipe, not an image"):
        detect.open_regular(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/", "is a folder"), ("/dev/null", "is a device"), ("/nowhere/x", "No such file"),
     ("nbd:localhost:10809", "No such file"), ("a\0b", "cannot be a file's name")],
)  # fmt: skip
def test_what_is_no_regular_file_is_refused_with_its_kind(path, reason):
    with pytest.raises(BakeryError, match=reason):
        detect.open_regular(Path(path))


@pytest.mark.parametrize(
    ("name", "claim"),
    [("a.qcow2", "qcow2"), ("a.VHD", "vpc"), ("a.raw", "raw"), ("a.img", None), ("a", None)],
)
def test_only_suffixes_that_mean_one_format_claim_it(name, claim):
    assert detect.claimed(name) == claim


@given(st.binary(max_size=2048), st.binary(max_size=512))
def test_any_bytes_have_a_kind(head, tail):
    kind = detect.sniff(ends(head, tail))
    assert kind == "raw" or detect.is_packed(kind) or kind in detect.image_kinds(ends(head, tail))


def sniffed(path: Path) -> tuple[str, list[str], bool]:
    """The kind of a file, all marks it carries, and whether it looks like a disk."""
    with detect.open_regular(path) as file:
        found = detect.read_ends(file)
    return detect.sniff(found), detect.image_kinds(found), detect.looks_like_a_disk(found.head)


@pytest.mark.parametrize("kind", ["qcow2", "qed", "vmdk", "vpc", "vhdx", "vdi", "parallels"])
def test_what_qemu_makes_is_told_by_its_first_bytes(tmp_path: Path, kind: str):
    path = tmp_path / "image"
    subprocess.run(["qemu-img", "create", "-q", "-f", kind, path, "8M"], check=True)
    assert sniffed(path) == (kind, [kind], False)


# Formats of which nothing here makes one, and a byte to each side of where their mark belongs.
@pytest.mark.parametrize(
    ("kind", "offset", "magic"),
    [
        ("vmdk-cowd", 0, b"COWD"),
        ("vmdk-descriptor", 0, b"# Disk DescriptorFile"),
        ("luks", 0, b"LUKS\xba\xbe"),
        ("luks", 0, b"SKUL\xba\xbe"),
        ("parallels", 0, b"WithouFreSpacExt"),
        ("bochs", 0, b"Bochs Virtual HD Image"),
        ("cloop", 0, b"#!/bin/sh\n#V2.0 Format"),
        ("iso", 0x8001, b"CD001"),
        ("iso", 0x8001, b"BEA01"),
        ("vdi", 0x40, b"\x7f\x10\xda\xbe"),
    ],
)
def test_a_mark_counts_in_its_place_alone(kind: str, offset: int, magic: bytes):
    def found(at: int) -> list[str]:
        return detect.image_kinds(ends((bytes(at) + magic).ljust(0x9000, b"\0")))

    assert found(offset) == [kind]
    assert found(offset + 1) == []


@pytest.mark.parametrize(
    ("offset", "magic"),
    [
        (510, b"\x55\xaa"),
        (512, b"EFI PART"),
        (4096, b"EFI PART"),
        (1080, b"\x53\xef"),
        (0, b"XFSB"),
        (0x10040, b"_BHRfS_M"),
        (0, b"hsqs"),
        (1024, b"\xe2\xe1\xf5\xe0"),
        *((sector * 512, b"LABELONE") for sector in range(4)),
    ],
)
def test_a_filesystems_mark_counts_in_its_place_alone(offset: int, magic: bytes):
    def looks(at: int) -> bool:
        return detect.looks_like_a_disk((bytes(at) + magic).ljust(0x11000, b"\0"))

    assert looks(offset)
    assert not looks(offset + 1)
    assert not detect.looks_like_a_disk((bytes(4 * 512) + b"LABELONE").ljust(0x11000, b"\0"))


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_what_mkfs_makes_looks_like_a_disk(tmp_path: Path, kind: str):
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(320 << 20)
    assert sniffed(path) == ("raw", [], False)
    subprocess.run([f"mkfs.{kind}", "-q", path], check=True)
    assert sniffed(path) == ("raw", [], True)


def archived(name: str, content: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("appliance.ovf", "it is an OVA"),
        ("oci-layout", "a container image is layers of files"),
        ("blobs/sha256/aa", "a container image is layers of files"),
        ("./manifest.json", "a container image is layers of files"),
        ("disk.raw", "unpack it first: tar xf IMAGE"),
    ],
)
def test_an_archive_is_told_by_its_first_member(name: str, words: str):
    head = archived(name)
    assert detect.sniff(ends(head)) == "tar"
    assert words in detect.unpacking("tar", head)


def test_a_folder_that_is_a_container_image_is_told_as_one(tmp_path: Path):
    (tmp_path / "oci-layout").write_text("{}")
    with pytest.raises(BakeryError, match="OCI container image") as caught:
        detect.open_regular(tmp_path)
    assert "bootc-image-builder" in caught.value.hint


def test_qcow_of_version_1_is_not_qcow2():
    assert detect.image_kinds(ends(b"QFI\xfb\0\0\0\1" + bytes(600))) == ["qcow"]
    assert detect.image_kinds(ends(b"QFI\xfb\0\0\0\2" + bytes(600))) == ["qcow2"]


def zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("image", content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "pack"),
    [
        ("gzip", gzip.compress),
        ("xz", lzma.compress),
        ("bzip2", bz2.compress),
        ("zip", zipped),
        ("zstd", frames.pack),
        ("7z", b"7z\xbc\xaf\x27\x1c".__add__),
        ("lz4", b"\x04\x22\x4d\x18".__add__),
        ("tar", lambda content: archived("disk.raw", content)),
    ],
)
def test_what_is_packed_is_told_with_what_unpacks_it(kind: str, pack: Callable[[bytes], bytes]):
    packed = ends(pack(bytes(600)))
    assert detect.sniff(packed) == kind
    assert detect.image_kinds(packed) == []
    assert detect.sniff(packed._replace(tail=b"koly")) == "dmg"


def test_the_ends_of_a_file_are_read_up_to_their_lengths(tmp_path: Path):
    path = tmp_path / "x"
    content = os.urandom(detect.HEAD_BYTES + 1000)
    path.write_bytes(content)
    with detect.open_regular(path) as file:
        assert not os.get_inheritable(file.fileno())
        found = detect.read_ends(file)
    assert found == Ends(content[: detect.HEAD_BYTES], content[-512:], len(content))
