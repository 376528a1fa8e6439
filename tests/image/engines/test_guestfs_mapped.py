"""Volumes that only a kernel puts together, as the appliance tells of them and copies them."""

import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bakery.disk.extents import Extent, of_file, total
from bakery.disk.volumes.volumes import LUKS, LogicalVolume, Volume, VolumeGroup
from bakery.host.errors import BakeryError
from bakery.host.report import silent
from bakery.image.engines import guestfs, guestfs_mapped
from bakery.image.engines.guestfish import CommandRefused
from bakery.image.engines.guestfs import GuestfsEngine
from bakery.image.engines.survey import Found
from tests.image.engines import mapped

MIB = 1 << 20
LOCKED = Volume("/dev/sda5", MIB, (Extent(0, MIB),), LUKS, "1-2")
OTHER = Volume("/dev/sda6", MIB, (Extent(MIB, MIB),), LUKS, "3-4")


class Fish:
    """Devices with their sizes; `keys` opens a partition."""

    def __init__(self, sizes: dict[str, int], keys: dict[str, bytes] | None = None) -> None:
        self.sizes, self.keys = sizes, keys or {}
        self.asked: list[tuple[str, ...]] = []

    def ask(self, *words: str, secret: bytes | None = None, timeout: float = 0) -> str:
        self.asked.append(words)
        if words[0] == "cryptsetup-open" and self.keys.get(words[1]) != secret:
            raise CommandRefused("No key available with this passphrase.")
        if words[0] == "blockdev-getsize64" and words[1] not in self.sizes:
            raise CommandRefused("No such file or directory")
        if words[0] == "blockdev-getsize64":
            return f"{self.sizes[words[1]]}\n"
        kinds = {"list-md-devices": "/dev/md", "lvs": "/dev/vg"}
        prefix = kinds.get(words[0])
        return "".join(f"{d}\n" for d in self.sizes if prefix and d.startswith(prefix))


def fish(*given: Any) -> Any:
    return Fish(*given)


def test_what_the_key_opens_is_opened_and_the_rest_stays_closed():
    asked = fish({}, {"/dev/sda6": b"secret"})
    assert guestfs_mapped.unlock(asked, [LOCKED, OTHER], b"secret") == ["/dev/mapper/luks-3-4"]
    assert asked.asked[-1] == ("lvm-scan", "true"), "what lies inside is looked for"
    assert all("secret" not in word for words in asked.asked for word in words)


def test_without_a_key_or_a_lock_nothing_is_asked():
    asked = fish({})
    assert guestfs_mapped.unlock(asked, [LOCKED], None) == []
    assert guestfs_mapped.unlock(asked, [], b"secret") == []
    assert asked.asked == []


def test_a_key_that_opens_nothing_is_refused_with_what_was_tried():
    with pytest.raises(BakeryError, match="opens none of /dev/sda5, /dev/sda6"):
        guestfs_mapped.unlock(fish({}), [LOCKED, OTHER], b"wrong")


def test_what_the_kernel_shows_beside_the_known_volumes_is_told_with_its_size():
    known = [Volume("/dev/vg/plain", 1, (Extent(0, 1),))]
    asked = fish({"/dev/md127": 5, "/dev/vg/plain": 1, "/dev/vg/thin": 7, "/dev/mapper/luks-1": 9})
    assert list(guestfs_mapped.mapped(asked, ["/dev/mapper/luks-1"], known)) == [
        Found("/dev/mapper/luks-1", (), 9),
        Found("/dev/md127", (), 5),
        Found("/dev/vg/thin", (), 7),
    ]


def test_what_is_listed_and_not_there_is_left_out():
    asked = fish({"/dev/vg/thin": 7})
    asked.sizes = {}
    listed = asked.ask
    asked.ask = lambda *words: "/dev/vg/thin\n" if words[0] == "lvs" else listed(*words)
    assert list(guestfs_mapped.mapped(asked, [], [])) == []


def test_a_volume_that_the_kernel_shows_is_usable():
    volumes = tuple(LogicalVolume("vg", name, 1, (), "it is thin") for name in ("root", "pool"))
    group = guestfs_mapped.usable(VolumeGroup("vg", "", 1, (2,), volumes), ["/dev/vg/root"])
    assert [lv.unusable for lv in group.volumes] == ["", "it is thin"]


class Copier(Fish):
    """Answers `compress-device-out` with a file of these bytes."""

    content = b""

    def ask(self, *words: str, secret: bytes | None = None, timeout: float = 0) -> str:
        assert words[0] == "compress-device-out"
        Path(words[3]).write_bytes(self.content)
        return ""


def copied(folder: Path, content: bytes, size: int) -> Path:
    asked: Any = Copier({})
    asked.content = content
    out = folder / "out"
    guestfs_mapped.copy(asked, "/dev/md127", size, folder, out)
    return out


def test_a_copy_is_the_device_with_zeros_as_holes(tmp_path: Path):
    data = bytes(3 * MIB) + os.urandom(MIB + 100) + bytes(2 * MIB)
    out = copied(tmp_path, gzip.compress(data), len(data))
    assert out.read_bytes() == data
    with out.open("rb") as file:
        assert total(of_file(file.fileno())) < 2 * MIB
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


@pytest.mark.parametrize("size", [MIB - 1, MIB + 1])
def test_a_copy_of_another_size_is_refused(tmp_path: Path, size: int):
    with pytest.raises(BakeryError, match="the copy"):
        copied(tmp_path, gzip.compress(bytes(MIB)), size)


def test_a_copy_that_ends_early_is_refused(tmp_path: Path):
    with pytest.raises(BakeryError, match="ended after"):
        copied(tmp_path, gzip.compress(os.urandom(MIB))[:-100], MIB)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mapped.make(tmp_path_factory.mktemp("mapped"))


@pytest.fixture
def engine(disk: Path, tmp_path: Path) -> Iterator[GuestfsEngine]:
    size, key = disk.stat().st_size, mapped.KEY.encode()
    with GuestfsEngine(disk, "raw", tmp_path, silent(), size, key) as engine:
        yield engine


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.skipif(guestfs.why_not() is not None, reason=str(guestfs.why_not()))
def test_thin_mirrored_and_encrypted_roots_are_read_edited_and_copied(
    engine: GuestfsEngine, tmp_path: Path
):
    """The quick tests above hold each part; this one has a kernel do it."""
    found = {volume.uuid: volume for volume in engine.survey().volumes}
    for uuid in mapped.UUIDS.values():
        root = found[uuid]
        assert (root.place, root.type) == ((), "ext4")
        assert engine.read_file(root, "/etc/fstab") == mapped.FSTAB
        engine.replace(root, "/etc/fstab", mapped.FSTAB, mapped.FSTAB.replace(b"/boot", b"/bood"))
        out = tmp_path / uuid
        engine.copy_volume(root, out)
        assert out.stat().st_size == root.size_bytes
        assert b" /bood ext4 " in out.read_bytes()
