"""An image as plain files: its windows, its edits, and what goes with the session."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bakery.disk.extents import Extent
from bakery.host.errors import BakeryError
from bakery.image.engines import direct, view
from bakery.image.engines.base import CannotServe, cluster_bytes
from bakery.image.engines.cell import Cell, Command
from bakery.image.engines.view import View

pytestmark = [
    pytest.mark.skipif(direct.why_not() is not None, reason=str(direct.why_not())),
    pytest.mark.xdist_group("direct"),
]

MIB = 1 << 20
SIZE = 2 * MIB + 512


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("view") / "disk.raw"
    path.write_bytes(os.urandom(SIZE))
    return path


@pytest.fixture
def shown(raw: Path, tmp_path: Path) -> Iterator[View]:
    shown = View(raw, "raw", tmp_path)
    yield shown
    shown.close()


def seen(shown: View, path: str) -> bytes:
    """A file as a program in the cage reads it."""
    done = shown.cell.run(Command(["cat", path]))
    assert done.returncode == 0, done.complaint
    return done.stdout


def test_the_disk_is_a_file_of_its_size_and_bytes(shown: View, raw: Path):
    content = raw.read_bytes()
    assert shown.size_bytes == SIZE
    assert seen(shown, shown.disk) == content
    assert shown.read(5, 10) == content[5:15]
    assert shown.read(SIZE - 3, 10) == content[-3:]
    assert shown.read(SIZE, 10) == b""


def test_a_window_is_a_part_of_the_disk_and_made_once(shown: View, raw: Path):
    content, place = raw.read_bytes(), Extent(512, MIB)
    path = shown.window(place)
    assert seen(shown, path) == content[512 : 512 + MIB]
    assert shown.window(place) == path
    other = shown.window(Extent(MIB, 1024))
    assert seen(shown, other) == content[MIB : MIB + 1024]
    assert len({path, other, shown.disk}) == 3
    assert shown.window(Extent(0, SIZE)) == shown.disk
    assert shown.window(Extent(0, MIB)) != shown.disk


def test_nothing_shown_can_be_written(shown: View):
    for path in (shown.disk, shown.window(Extent(0, MIB))):
        done = shown.cell.run(Command(["sh", "-c", f"echo x >>{path}"]))
        assert done.returncode != 0


def test_what_is_written_is_read_through_disk_and_windows(shown: View, raw: Path):
    place = Extent(512, 4096)
    before = raw.read_bytes()
    path = shown.window(place)
    seen(shown, path)
    shown.write([(Extent(600, 3), b"one"), (Extent(MIB, 3), b"two")])
    assert shown.read(600, 3) == b"one"
    assert shown.read(MIB, 3) == b"two"
    again = shown.window(place)
    assert again != path
    assert seen(shown, again)[88:91] == b"one"
    assert raw.read_bytes() == before


def test_a_volume_is_read_through_its_pieces(shown: View, raw: Path):
    content = raw.read_bytes()
    read_at = shown.reader([Extent(MIB, 100), Extent(7, 50)])
    assert read_at(0, 150) == content[MIB : MIB + 100] + content[7:57]
    assert read_at(98, 4) == content[MIB + 98 : MIB + 100] + content[7:9]
    with pytest.raises(BakeryError, match="beyond the volume's end"):
        read_at(149, 2)


def test_a_new_file_beside_those_shown_is_the_callers(shown: View):
    paths = []
    for _ in range(2):
        path, descriptor = shown.make()
        os.write(descriptor, b"mine")
        os.close(descriptor)
        assert seen(shown, path) == b"mine"
        paths.append(path)
    assert paths[0] != paths[1]


def test_an_edit_that_fails_is_told_and_shows_the_disk_again(shown: View, raw: Path):
    def fail() -> None:
        with shown.editing():
            raise OSError(28, "No space left on device")

    with pytest.raises(BakeryError, match=r"overlay\.qcow2 cannot be written: No space left"):
        fail()
    assert shown.read(0, 5) == raw.read_bytes()[:5]
    shown.write([(Extent(0, 1), b"x")])
    assert shown.read(0, 1) == b"x"


def test_an_edit_is_brought_to_the_overlay_before_it_is_over(
    shown: View, monkeypatch: pytest.MonkeyPatch
):
    brought: list[int] = []
    monkeypatch.setattr(os, "fsync", brought.append)
    with shown.editing() as (_, descriptor):
        assert brought == []
    assert brought == [descriptor]


def test_closed_the_overlay_holds_the_edits_and_names_its_source(raw: Path, tmp_path: Path):
    shown = View(raw, "raw", tmp_path)
    shown.write([(Extent(5, 4), b"edit")])
    shown.close()
    flat = tmp_path / "flat"
    subprocess.run(["qemu-img", "convert", "-O", "raw", shown.overlay, flat], check=True)
    content = raw.read_bytes()
    assert flat.read_bytes() == content[:5] + b"edit" + content[9:]
    info = subprocess.run(["qemu-img", "info", shown.overlay], capture_output=True, check=True)
    assert b"backing file format: raw" in info.stdout
    assert b"cluster_size: 4096" in info.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flat", "overlay.qcow2"]


def test_a_daemon_that_fails_at_its_end_is_told(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shown = View(raw, "raw", tmp_path)
    monkeypatch.setattr(shown.cell, "wait_for_daemon", lambda: 1)
    with pytest.raises(BakeryError, match="qemu-storage-daemon failed on exit"):
        shown.close()


def test_what_keeps_the_image_from_being_shown_is_told_and_leaves_no_process(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_words: object, **_options: object) -> str:
        raise CannotServe("the image cannot be shown as a file: no FUSE", "see: bakery doctor")

    monkeypatch.setattr(View, "_show", refuse)
    before = {path.name for path in Path("/proc/self/fd").iterdir()}
    with pytest.raises(CannotServe, match="no FUSE"):
        View(raw, "raw", tmp_path)
    assert {path.name for path in Path("/proc/self/fd").iterdir()} == before


def test_a_damaged_image_is_told_with_the_place(
    shown: View, raw: Path, monkeypatch: pytest.MonkeyPatch
):
    def torn(*_words: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pread", torn)
    with pytest.raises(BakeryError, match=f"{raw} cannot be read at byte 7 of its disk: Input"):
        shown.read(7, 1)


def test_an_overlay_is_as_fine_as_its_size_allows():
    assert cluster_bytes(8 << 40) == 4096
    assert cluster_bytes((8 << 40) + 1) == 65536


def qcow2_head(magic: bytes = b"QFI\xfb", version: int = 3, features: int = 4) -> bytes:
    return (magic + version.to_bytes(4, "big")).ljust(72, b"\0") + features.to_bytes(8, "big")


@pytest.mark.parametrize(
    ("head", "refused"),
    [
        (qcow2_head(), True),
        (qcow2_head(features=0xFF), True),
        (qcow2_head(features=3), False),
        (qcow2_head(version=2), False),
        (qcow2_head(magic=b"QED\0"), False),
        (b"", False),
    ],
)
def test_data_in_another_file_is_refused_by_the_first_bytes(
    tmp_path: Path, head: bytes, refused: bool
):
    image = tmp_path / "image"
    image.write_bytes(head + bytes(4096) * refused)
    if refused:
        with pytest.raises(BakeryError, match="keeps its data in another file"):
            view._refuse_external_data(image)
    else:
        view._refuse_external_data(image)
    with pytest.raises(BakeryError, match="cannot be read: No such file"):
        view._refuse_external_data(tmp_path / "none")


def test_a_folder_of_shown_files_goes_with_its_session(tmp_path: Path):
    folder = tmp_path / "shown"
    view._clear(folder)
    folder.mkdir()
    (folder / "file").touch()
    (folder / "below").mkdir()
    view._clear(folder)
    assert not folder.exists()


@pytest.mark.parametrize("kind", [BakeryError, CannotServe])
def test_what_the_daemon_said_is_told_and_what_another_engine_can_do_stays_so(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[BakeryError]
):
    def refuse(*_words: object, **_options: object) -> str:
        raise kind("no")

    monkeypatch.setattr(View, "_show", refuse)
    monkeypatch.setattr(Cell, "log", lambda _cell: "/image is odd")
    with pytest.raises(BakeryError) as caught:
        View(raw, "raw", tmp_path)
    assert type(caught.value) is kind
    assert caught.value.message == f"no ({raw} is odd)"


@pytest.mark.parametrize(("error", "said"), [(BakeryError("no"), ""), (KeyboardInterrupt(), "odd")])
def test_where_nothing_was_said_or_bakery_was_interrupted_the_error_stays_what_it_is(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, said: str
):
    def refuse(*_words: object, **_options: object) -> str:
        raise error

    monkeypatch.setattr(View, "_show", refuse)
    monkeypatch.setattr(Cell, "log", lambda _cell: said)
    with pytest.raises(type(error)) as caught:
        View(raw, "raw", tmp_path)
    assert caught.value is error


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (None, "makes no sense"),
        ([{"node-name": "source", "image": {"virtual-size": "big"}}], "makes no sense"),
        ([{"node-name": "other", "image": {"virtual-size": 7}}], "does not tell the size"),
        ([{"node-name": "source", "image": {"virtual-size": -7}}], "does not tell the size"),
    ],
)
def test_a_daemon_that_an_image_has_taken_over_is_not_believed(told: object, said: str):
    with pytest.raises(BakeryError, match=said):
        view._size(told)
