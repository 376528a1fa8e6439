import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakery.disk.extents import Extent
from bakery.host.errors import BakeryError
from bakery.system import grub_image, grub_memdisk, pe
from bakery.system.grub_memdisk import Memdisk
from tests.system import programs
from tests.system.programs import read_at

FILES = {"boot/grub/grub.cfg": b"set a=b\n", "boot/grub/fonts/u.pf2": b"x" * 3000, "x": b""}


def opened(data: bytes, offset: int = 0) -> Memdisk:
    return grub_memdisk.opened(read_at(data), Extent(offset, len(data) - offset))


def test_a_tar_is_read(tmp_path: Path) -> None:
    data = b"in front" + programs.tar(tmp_path, FILES).read_bytes() + b"behind"
    disk = grub_memdisk.opened(read_at(data), Extent(8, len(data) - 14))
    assert {name: disk.read("/" + name) for name in FILES} == FILES
    assert set(disk.names("/boot/grub")) == {"fonts", "grub.cfg"}
    assert disk.names("/boot/grub/grub.cfg") == ()
    assert set(disk.names("/")) == {"boot", "x"}
    assert [disk.is_file(path) for path in ("/x", "/boot", "/y")] == [True, False, False]
    assert [disk.is_directory(path) for path in ("/x", "/boot/", "/", "/y")] == [
        False, True, True, False,
    ]  # fmt: skip
    assert disk.read("/boot/GRUB/grub.cfg") is None
    assert disk.read("/boot") is None


@pytest.mark.parametrize(("form", "inner"), [("ustar", "e" * 5), ("gnu", "e" * 60)])
def test_links_and_long_names_of_a_tar_are_followed(tmp_path: Path, form: str, inner: str) -> None:
    tree = tmp_path / "tree"
    folder = tree / ("d" * 90) / inner
    folder.mkdir(parents=True)
    (folder / "f").write_bytes(b"deep")
    (tree / "link").symlink_to("d" * 90)
    (folder / "up").symlink_to(f"../../link/./{inner}/f")
    (folder / "round").symlink_to("round")
    os.link(folder / "f", tree / "z")
    names = sorted(path.name for path in tree.iterdir())
    programs.run("tar", "-C", tree, f"--format={form}", "-cf", tmp_path / "t", *names)
    disk = opened((tmp_path / "t").read_bytes())
    assert disk.read(f"/link/{inner}/up") == b"deep"
    assert disk.read("/z") == b"deep"
    assert disk.is_directory("/link")
    with pytest.raises(BakeryError, match="leads nowhere"):
        disk.read(f"/link/{inner}/round")


def test_the_disk_of_debians_own_program_is_read() -> None:
    data = programs.GRUB.read_bytes()
    mods = pe.named(pe.read(read_at(data)).sections, "mods")
    assert mods is not None
    place = Extent(mods.offset, mods.size_bytes)
    where = grub_image.read(read_at(data), place, 8).memdisk
    assert where is not None
    disk = grub_memdisk.opened(read_at(data), where)
    menu = disk.read("/grub.cfg")
    assert menu is not None
    assert b"source $cmdpath/grub.cfg" in menu
    assert disk.is_file("/GRUB.CFG")
    assert disk.names("/") == ("grub.cfg", "fonts")
    assert disk.names("/fonts") == ("unicode.pf2",)
    assert disk.is_directory("/fonts")
    assert disk.names("/none") == ()
    assert disk.read("/fonts") is None
    with pytest.raises(BakeryError, match="more than 1048576"):
        disk.read("/fonts/unicode.pf2")


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"hsqs" + bytes(600), "squashfs"), (b"070701" + bytes(600), "cpio"), (b"", "no known kind")],
)
def test_a_disk_that_cannot_be_read_is_refused_when_it_is_asked(data: bytes, kind: str) -> None:
    disk = opened(data)
    for ask in (disk.is_file, disk.is_directory, disk.names, disk.read):
        with pytest.raises(BakeryError, match=f"'/grub.cfg' .* {kind}"):
            ask("/grub.cfg")


def test_a_tar_is_bounded(tmp_path: Path) -> None:
    data = bytearray(programs.tar(tmp_path, {"a": b"x"}).read_bytes())
    data[124:136] = b"00004000001\0"
    with pytest.raises(BakeryError, match=r"'/a' .* over 1048576 bytes"):
        opened(bytes(data)).read("/a")
    data[124:136] = b"00000100000\0"
    with pytest.raises(BakeryError, match="cut short within '/a'"):
        opened(bytes(data)).read("/a")
    data[124:136] = b"0000010000x\0"
    with pytest.raises(BakeryError, match="damaged"):
        opened(bytes(data))


@pytest.fixture(scope="module")
def tar(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return programs.tar(tmp_path_factory.mktemp("tar"), FILES).read_bytes()[:6144]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_changed_tar_is_read_or_refused(tar: bytes, data: st.DataObject) -> None:
    changed = bytearray(tar)
    for at in data.draw(st.lists(st.integers(0, len(tar) - 1), max_size=6)):
        changed[at] = data.draw(st.integers(0, 255) | st.sampled_from([*b"0127LK/"]))
    try:
        disk = opened(bytes(changed[: data.draw(st.integers(0, len(tar)))]))
        for path in ("/boot/grub/grub.cfg", "/x", *disk.names("/")):
            disk.read(path)
            disk.names(path)
    except BakeryError:
        pass
