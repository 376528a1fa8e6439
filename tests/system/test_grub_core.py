import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakery.disk.extents import ReadAt
from bakery.host.errors import BakeryError
from bakery.system import grub_core, grub_memdisk
from tests.system import programs
from tests.system.programs import read_at

BOOT = Path("/usr/lib/grub/i386-pc/boot.img").read_bytes()
SYSLINUX = Path("/usr/lib/SYSLINUX")
EARLY = "search.fs_uuid 2f6e root\nset prefix=($root)/boot/grub\n"
MODULES = ("biosdisk", "part_gpt", "ext2", "normal")
SECTOR = 512


def core(folder: Path, **options: object) -> bytes:
    return programs.grub_program(folder, platform="i386-pc", modules=MODULES, **options)  # type: ignore[arg-type]


def disk(image: bytes, *places: tuple[int, int], at: int = 0) -> ReadAt:
    """A disk with GRUB's boot sector at byte `at`.

    The core image's first sector is in the first place, as many of the rest as each other place
    (its sector, a count) says there.
    """
    (first, _), *rest = places
    head, body = bytearray(image[:SECTOR]), image[SECTOR:]
    sectors: dict[int, bytes] = {}
    for number, (start, count) in enumerate(rest):
        struct.pack_into("<QH", head, 500 - 12 * number, start, count)
        for n in range(count):
            sectors[start + n], body = body[:SECTOR], body[SECTOR:]
    struct.pack_into("<QH", head, 500 - 12 * len(rest), 0, 0)
    boot = bytearray(BOOT)
    struct.pack_into("<Q", boot, 0x5C, first)
    sectors |= {at // SECTOR: bytes(boot), first: bytes(head)}
    data = bytearray(SECTOR * (max(sectors) + 1))
    for number, content in sectors.items():
        data[number * SECTOR : (number + 1) * SECTOR] = content.ljust(SECTOR, b"\0")
    return read_at(bytes(data))


def count(image: bytes) -> int:
    return (len(image) - 1) // SECTOR


def test_a_core_image_behind_the_mbr_says_where_its_menu_is(tmp_path: Path) -> None:
    image = core(tmp_path, prefix="(,msdos1)/boot/grub")
    found = grub_core.read(disk(image, (1, 1), (2, count(image))))
    assert found.embedded.prefix == "(,msdos1)/boot/grub"
    assert found.embedded.config is None
    assert found.embedded.modules > len(MODULES)
    assert found.partition is None


def test_a_core_image_in_a_boot_partition_may_lie_in_pieces(tmp_path: Path) -> None:
    image = core(tmp_path, prefix="(lvm/vg-root)/boot/grub", config=EARLY)
    places = [(2048, 1), (2050, 7), (2090, 30), (4000, count(image) - 37)]
    found = grub_core.read(disk(image, *places, at=8 << 20), 8 << 20)
    assert found.embedded.prefix == "(lvm/vg-root)/boot/grub"
    assert found.embedded.config == EARLY


def test_a_memory_disk_is_read_out_of_the_core_image(tmp_path: Path) -> None:
    tar = programs.tar(tmp_path, {"boot/grub/grub.cfg": b"menu\n"})
    found = grub_core.parse(core(tmp_path, prefix="(memdisk)/boot/grub", memdisk=tar)[SECTOR:])
    assert found.embedded.memdisk is not None
    files = grub_memdisk.opened(found.read_at, found.embedded.memdisk)
    assert files.read("/boot/grub/grub.cfg") == b"menu\n"


def test_an_image_that_was_told_its_partition_says_so(tmp_path: Path) -> None:
    image = bytearray(core(tmp_path)[SECTOR:])
    image[0x1A] = 1
    assert grub_core.parse(bytes(image)).partition == 2


def legacy() -> bytes:
    """The boot sector of GRUB 0.97, as far as it is told by (stage1.S)."""
    sector = bytearray(SECTOR)
    sector[:2] = b"\xeb\x48"
    sector[0x3E:0x40] = b"\x03\x02"
    sector[0x42:0x44] = b"\0\x20"
    sector[0x17E:0x1A2] = b"GRUB \0Geom\0Hard Disk\0Read\0 Error\0".ljust(36, b"\0")
    sector[510:] = b"\x55\xaa"
    return bytes(sector)


def volume(name: bytes) -> bytes:
    return b"\xeb\x58\x90" + name + bytes(400) + b"\x01" + bytes(98) + b"\x55\xaa"


def from_syslinux(name: str) -> bytes:
    return (SYSLINUX / name).read_bytes().ljust(510, b"\0") + b"\x55\xaa"


@pytest.mark.parametrize(
    ("sector", "kind"),
    [
        (BOOT, "grub"),
        (legacy(), "grub-legacy"),
        (from_syslinux("mbr.bin"), "partition"),
        (from_syslinux("gptmbr.bin"), "partition"),
        (volume(b"EXTLINUX"), "syslinux"),
        (volume(b"SYSLINUX"), "syslinux"),
        (volume(b"mkfs.fat"), "other"),
        (bytes(440) + bytes(range(1, 71)) + b"\x55\xaa", "none"),
        (BOOT[:510] + b"\0\0", "none"),
        (BOOT[:511], "none"),
        (b"", "none"),
    ],
)
def test_a_boot_sector_tells_what_it_starts(sector: bytes, kind: str) -> None:
    assert grub_core.boot_code(sector) == kind


def with_lengths(packed: int, unpacked: int) -> Callable[[bytes], bytes]:
    return lambda image: image[:8] + struct.pack("<II", packed, unpacked) + image[16:]


def lengths(image: bytes) -> tuple[int, int]:
    packed, unpacked = struct.unpack_from("<II", image, 8)
    return packed, unpacked


def test_a_damaged_core_image_is_refused_with_the_reason(tmp_path: Path) -> None:
    image = core(tmp_path)[SECTOR:]
    packed, unpacked = lengths(image)
    start = len(image) - packed
    cases = [
        (b"", "not packed as that of GRUB 2.0"),
        (image[:1900], "not packed as that of GRUB 2.0"),
        (image[:-600], f"says that it is {packed} bytes long"),
        (with_lengths(packed, 0)(image), "unpacks to 0 bytes"),
        (with_lengths(packed, (32 << 20) + 1)(image), "unpacks to 33554433 bytes"),
        (with_lengths(packed, unpacked + 9000)(image), "can be unpacked"),
        (with_lengths(packed, unpacked - 4)(image), "neither a prefix nor modules"),
        (image[:start] + b"\xff" + image[start + 1 :], "cannot be unpacked"),
    ]
    for data, reason in cases:
        with pytest.raises(BakeryError, match=reason) as refused:
            grub_core.parse(data)
        assert "--layout disk" in refused.value.hint


def test_a_boot_sector_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    image = core(tmp_path)
    whole = disk(image, (1, 1), (2, count(image)))
    with pytest.raises(BakeryError, match="no GRUB in the boot sector at byte 512"):
        grub_core.read(whole, SECTOR)
    with pytest.raises(BakeryError, match="ends before byte"):
        grub_core.read(lambda at, length: whole(at, length)[: max(0, 1000 - at)])
    with pytest.raises(BakeryError, match="does not say where the rest is"):
        grub_core.read(disk(image, (1, 1)))
    with pytest.raises(BakeryError, match="over 20 places"):
        grub_core.read(disk(image, (1, 1), *[(n, 1) for n in range(2, 24)]))


def test_what_unpacks_to_more_than_it_says_is_unpacked_no_further(tmp_path: Path) -> None:
    image = core(tmp_path)[SECTOR:]
    packed, _ = lengths(image)
    tracemalloc.start()
    with pytest.raises(BakeryError, match="neither a prefix"):
        grub_core.parse(with_lengths(packed, 1000)(image))
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("core")
    return programs.grub_program(folder, platform="i386-pc", config=EARLY)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_cut_or_changed_core_image_is_read_or_refused(made: bytes, data: st.DataObject) -> None:
    changed = bytearray(made)
    place = st.integers(480, 560) | st.integers(0, len(made) - 1)
    for at in data.draw(st.lists(place, max_size=4)):
        changed[at] = data.draw(st.integers(0, 255))
    end = data.draw(st.just(len(made)) | st.integers(SECTOR, len(made)))
    try:
        grub_core.parse(bytes(changed[SECTOR:end]))
        grub_core.read(disk(bytes(changed), (1, 1), (2, count(made))))
    except BakeryError:
        pass
