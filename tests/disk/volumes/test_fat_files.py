import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakery.disk.extents import ReadAt
from bakery.disk.volumes import fat_files
from bakery.host.errors import BakeryError

BIG = b"0123456789abcdef" * 9000
FILES = {
    "grub.cfg": b"configfile $prefix/grub.cfg\n",
    "UPPER.TXT": b"",
    "a long name with blanks.and.dots": b"long",
    "EFI/Größe/deep/File.conf": b"deep",
    "boot/big": BIG,
}
KIB = {12: 2 << 10, 16: 24 << 10, 32: 40 << 10}


def read_at(data: bytes) -> ReadAt:
    return lambda offset, length: data[offset : offset + length]


def run(*argv: str | Path) -> None:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    subprocess.run(argv, check=True, env=environment, capture_output=True)


def make(folder: Path, bits: int) -> bytes:
    """A FAT of that kind with FILES, by dosfstools and mtools."""
    tree, image = folder / "tree", folder / "fat"
    for name, content in FILES.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(content)
    run("mkfs.fat", f"-F{bits}", "-s1", "-n", "LABEL", "-C", image, str(KIB[bits]))
    run("mcopy", "-s", "-i", image, *sorted(tree.iterdir()), "::")
    return image.read_bytes()


@pytest.fixture(scope="module", params=[12, 16, 32])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make(tmp_path_factory.mktemp("fat"), request.param)


def content(files: fat_files.Files, path: str) -> bytes | None:
    found = files.find(path)
    return None if found is None else files.read(found, 1 << 20)


def test_every_file_is_found_and_read(made: bytes) -> None:
    files = fat_files.Files(read_at(made))
    assert {name: content(files, "/" + name) for name in FILES} == FILES
    assert content(files, "//efi/GRÖSSE/../x") is None
    assert content(files, "EFI/größe/DEEP/file.CONF") == b"deep"
    assert files.find("/grub.cfg/x") is None
    assert files.find("/nothing") is None


def test_a_directory_holds_names_as_they_were_written(made: bytes) -> None:
    files = fat_files.Files(read_at(made))
    root = files.find("/")
    assert root is not None
    assert root.is_directory
    names = {one.name: one.is_directory for one in files.entries(root)}
    assert names == {
        "grub.cfg": False, "UPPER.TXT": False, "a long name with blanks.and.dots": False,
        "EFI": True, "boot": True,
    }  # fmt: skip
    inside = files.find("/EFI/Größe")
    assert inside is not None
    assert [one.name for one in files.entries(inside)] == ["deep"]


def test_a_file_longer_than_allowed_is_refused(made: bytes) -> None:
    files = fat_files.Files(read_at(made))
    big = files.find("boot/big")
    assert big is not None
    assert files.read(big, len(BIG)) == BIG
    with pytest.raises(BakeryError, match="'big' of the FAT holds 144000 bytes, more than 143999"):
        files.read(big, len(BIG) - 1)


def test_a_table_that_leads_round_is_refused(tmp_path: Path) -> None:
    data = bytearray(make(tmp_path, 16))
    files = fat_files.Files(read_at(bytes(data)))
    big = files.find("boot/big")
    assert big is not None
    at = int.from_bytes(data[14:16], "little") * 512 + big.cluster * 2
    for value, reason in ((big.cluster, "circle"), (1, "cluster 1"), (0xFFFF, "cut short")):
        data[at : at + 2] = value.to_bytes(2, "little")
        files = fat_files.Files(read_at(bytes(data)))
        longer = fat_files.Entry(big.name, big.cluster, 1 << 30, is_directory=False)
        with pytest.raises(BakeryError, match=reason):
            files.read(longer, 1 << 30)


def test_what_is_no_fat_is_refused(made: bytes) -> None:
    for data, reason in (
        (b"", "does not begin"),
        (b"hsqs" + made[4:], "does not begin"),
        (made[:11] + b"\0\3" + made[13:], "sectors of 768 bytes"),
        (made[:13] + b"\3" + made[14:], "clusters of 3 sectors"),
        (made[:14] + b"\0\0" + made[16:], "does not add up"),
        (made[:16] + b"\0" + made[17:], "does not add up"),
    ):
        with pytest.raises(BakeryError, match=reason):
            fat_files.Files(read_at(data))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_changed_fat_is_read_or_refused(small: bytes, data: st.DataObject) -> None:
    changed = bytearray(small)
    place = st.integers(0, 63) | st.integers(0, 20_000) | st.integers(0, len(small) - 1)
    for at in data.draw(st.lists(place, max_size=6)):
        changed[at] = data.draw(st.integers(0, 255))
    end = data.draw(st.just(len(small)) | st.integers(0, len(small)))
    try:
        files = fat_files.Files(read_at(bytes(changed[:end])))
        root = files.find("/")
        assert root is not None
        for entry in files.entries(root):
            files.read(entry, 1 << 20)
        content(files, "EFI/Größe/deep/File.conf")
    except BakeryError:
        pass


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make(tmp_path_factory.mktemp("small"), 12)
