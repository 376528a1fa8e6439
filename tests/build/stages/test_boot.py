"""The files a boot entry names, out of an image that is a few names."""

from types import SimpleNamespace
from typing import Any

import pytest

from bakery.build.stages import boot
from bakery.build.stages.boot import BootGiven
from bakery.disk.volumes.volumes import Survey, Volume
from bakery.host.errors import BakeryError
from bakery.host.report import Event, Report
from bakery.image.boot.entry import BootEntry, ImageFile

BOOT = Volume("/dev/sda1", 1, ())
FILES = {"/k": b"kernel", "/i": b"i" * 5, "/j": b"j" * 8, "/l": b"l", "/empty": b""}


def file(path, offset=0, length=0):
    return ImageFile(BOOT.device, path, offset, length)


def entry(*initrds, kernel="/k"):
    files = (path if isinstance(path, ImageFile) else file(path) for path in (kernel, *initrds))
    first, *others = files
    return BootEntry(
        id="one",
        title="",
        kernel=first,
        initrds=tuple(others),
        args=(),
        root="/dev/sda2",
        config=file("/c"),
    )


def run(folder, given):
    """What is in the folder afterwards, and what is said."""

    def copy_out(volume, path, target, limit_bytes):
        assert volume == BOOT
        assert limit_bytes == (room["kernel"] if target.name == "kernel" else room["ramdisk"])
        room["ramdisk"] -= len(FILES[path]) if target.name != "kernel" else 0
        target.write_bytes(FILES[path])

    room = dict.fromkeys(("kernel", "ramdisk"), 512 << 20)  # for all initrds together

    def piece(volume, path, offset, length):
        assert volume == BOOT
        return FILES[path][offset : offset + length]

    engine = SimpleNamespace(copy_out=copy_out, piece=piece)
    inputs: Any = SimpleNamespace(
        given=BootGiven(entry=given),
        opened=SimpleNamespace(session=lambda: engine),
        inspection=SimpleNamespace(survey=Survey(1, None, (), (BOOT,))),
    )
    said: list[Event] = []
    with Report(said.append).step("boot") as step:
        boot.run(inputs, folder, step)
    return {path.name: path.read_bytes() for path in folder.iterdir()}, said[-1].text


def test_kernel_and_initrd_are_copied_as_they_are(tmp_path):
    files, said = run(tmp_path, entry("/i"))
    assert files == {"kernel": b"kernel", "ramdisk": b"iiiii"}
    assert said == "/k, /i"


def test_each_further_initrd_begins_at_a_multiple_of_four(tmp_path):
    files, said = run(tmp_path, entry("/i", "/j", "/l"))
    assert files["ramdisk"] == b"iiiii\0\0\0" + b"j" * 8 + b"l\0\0\0"
    assert set(files) == {"kernel", "ramdisk"}
    assert said == "/k, /i, /j, /l"


@pytest.mark.parametrize(
    ("given", "name"),
    [(entry("/i", kernel="/empty"), "kernel"), (entry("/empty"), "ramdisk")],
)
def test_an_empty_file_boots_nothing(tmp_path, given, name):
    with pytest.raises(BakeryError, match=f"the {name} of one is an empty file"):
        run(tmp_path, given)


def test_an_image_that_is_only_taken_whole_has_none(tmp_path):
    assert run(tmp_path, None) == ({}, "none: the disk boots by its own loader")


def test_of_a_unified_kernel_image_the_parts_are_copied(tmp_path, monkeypatch):
    monkeypatch.setattr(boot, "CHUNK_BYTES", 2)
    files, said = run(tmp_path, entry(file("/j", 2, 5), kernel=file("/k", 1, 4)))
    assert files == {"kernel": b"erne", "ramdisk": b"j" * 5}
    assert said == "/k, /j"


@pytest.mark.parametrize(
    ("part", "words"),
    [(file("/k", 4, 3), "/k, 3 bytes from byte 4 on is cut short"), (file("/k", 0, 1 << 40), "/k")],
)
def test_a_part_that_is_not_all_there_or_too_large_is_refused(tmp_path, part, words):
    with pytest.raises(BakeryError, match=words):
        run(tmp_path, entry("/i", kernel=part))
