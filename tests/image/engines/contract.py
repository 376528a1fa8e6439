"""What every engine must answer: the cases, each a function of a session on the specimen.

`READING` cases leave the session as they found it; a `WRITING` case gets a session of its own,
which it closes. tests/image/engines/specimen.py says what is in the image; nothing here is taken
from what another engine said.
"""

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from bakery.disk.extents import Extent
from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.image.engines.base import CannotServe, DirectoryEntry, Engine, FileMissing, Item
from tests.image.engines import specimen

MAGIC = {  # where a filesystem says what it is: magic(5), each from its own documentation
    "ext4": (0x438, b"\x53\xef"),
    "xfs": (0, b"XFSB"),
    "btrfs": (0x10040, b"_BHRfS_M"),
    "LVM2_member": (0x200, b"LABELONE"),
    "swap": (0xFF6, b"SWAPSPACE2"),
    "crypto_LUKS": (0, b"LUKS\xba\xbe"),
}
MISSING = (
    "/nothing",
    "/etc/nothing/at/all",
    "/etc/fstab/below-a-file",
    "/links/dangling",
    "/links/loop",
    "/links/host",
    "/" + "x" * 300,
)


def volume(engine: Engine, device: str) -> Volume:
    """The volume of that device name; the test fails where there is none."""
    found = engine.survey().volume(device)
    assert found is not None, f"{device} is not in {[v.device for v in engine.survey().volumes]}"
    return found


def filesystems(engine: Engine) -> list[Volume]:
    """The specimen's filesystems and its subvolume; each holds the same tree."""
    return [volume(engine, name) for name in specimen.TREES]


def the_table_is_the_one_sfdisk_reads_from_the_raw_disk(engine: Engine, disk: Path) -> None:
    told = engine.survey().table
    assert told is not None
    assert (told.label, told.id) == ("dos", "0x5eed0001")
    assert [
        (p.start_bytes // 512, p.size_bytes // 512, p.type, p.bootable) for p in told.partitions
    ] == [
        (p["start"], p["size"], p["type"], p.get("bootable", False)) for p in specimen.table(disk)
    ]
    assert [p.number for p in told.partitions] == [1, 2, 3, 5, 6, 7, 8]


def every_volume_but_the_container_is_told_of_in_order(engine: Engine, disk: Path) -> None:
    assert [(v.device, v.type) for v in engine.survey().volumes] == [
        ("/dev/sda1", "ext4"),
        ("/dev/sda2", "LVM2_member"),
        ("/dev/sda5", "btrfs"),
        ("/dev/sda6", "swap"),
        ("/dev/sda7", "crypto_LUKS"),
        ("/dev/sda8", ""),
        ("/dev/vg-a/ro-ot", "xfs"),
    ]


def a_volume_lies_where_the_survey_places_it(engine: Engine, disk: Path) -> None:
    survey = engine.survey()
    assert survey.size_bytes == disk.stat().st_size
    for told in survey.volumes:
        assert told.size_bytes == sum(extent.length for extent in told.place)
        if told.type:
            offset, magic = MAGIC[told.type]
            assert _read(disk, told.place, offset, len(magic)) == magic, told.device


def uuid_and_label_are_those_blkid_reads_from_the_raw_disk(engine: Engine, disk: Path) -> None:
    for told in engine.survey().volumes:
        place = ("-O", str(told.place[0].offset), "-S", str(told.size_bytes))
        for tag, value in (("UUID", told.uuid), ("LABEL", told.label)):
            argv = ["blkid", "-p", *place, "-o", "value", "-s", tag, str(disk)]
            done = subprocess.run(argv, capture_output=True, check=False)  # 2: nothing found
            assert value == done.stdout.decode().rstrip("\n"), f"{tag} of {told.device}"
    for filesystem in specimen.FILESYSTEMS:
        assert volume(engine, filesystem.device).label == filesystem.label


def the_volume_group_is_told_with_its_names_and_segments(engine: Engine, disk: Path) -> None:
    (group,) = engine.survey().groups
    assert (group.name, group.partitions, group.extent_size_bytes) == ("vg-a", (2,), 4 << 20)
    (logical,) = group.volumes
    assert (logical.name, logical.mapper) == ("ro-ot", "/dev/mapper/vg--a-ro--ot")
    assert logical.size_bytes == 304 << 20
    segments = tuple(Extent(s.disk_offset, s.length) for s in logical.segments)
    assert volume(engine, logical.device).place == segments


def the_subvolumes_of_a_btrfs_are_told_with_the_default(engine: Engine, disk: Path) -> None:
    told = {v.device: v.subvolumes for v in engine.survey().volumes if v.subvolumes}
    assert told == {specimen.DATA.device: specimen.SUBVOLUMES}
    assert not any(told.unreadable for told in engine.survey().volumes)


def a_snapshot_holds_the_files_and_not_the_subvolumes_of_its_origin(
    engine: Engine, disk: Path
) -> None:
    whole = volume(engine, specimen.DATA.device)
    system, nested, snapshot = map(whole.at, specimen.SUBVOLUMES)
    assert whole.mounted == snapshot
    assert engine.read_file(nested, "/inside") == specimen.NESTED_TEXT
    assert engine.read_file(system, "/nested/inside") == specimen.NESTED_TEXT
    assert engine.read_file(whole, "/sys tem/nested/inside") == specimen.NESTED_TEXT
    assert engine.list_directory(snapshot, "/nested") == []
    assert engine.items(snapshot, "/nested") == []
    assert engine.read_file(snapshot, "/links/absolute") == specimen.FSTAB
    assert engine.read_file(whole, "/snap/boot/vmlinuz") == specimen.KERNEL


def a_directory_lists_names_and_kinds_through_links(engine: Engine, disk: Path) -> None:
    for place in filesystems(engine):
        names = {"relative", "absolute", "above", "chain", "dangling", "loop", "host", "hard"}
        expected = [DirectoryEntry(name, is_directory=False) for name in names]
        expected.append(DirectoryEntry("directory", is_directory=True))
        assert engine.list_directory(place, "/links") == sorted(expected)
        top = engine.list_directory(place, "/")
        kinds = {entry.name: entry.is_directory for entry in top}
        assert set(specimen.DIRECTORIES) <= kinds.keys()
        assert all(kinds[name] for name in specimen.DIRECTORIES)
        assert top == sorted(top)


def a_link_to_a_directory_lists_as_the_directory(engine: Engine, disk: Path) -> None:
    for place in filesystems(engine):
        through = engine.list_directory(place, "/links/directory")
        assert through == engine.list_directory(place, "/etc")
        assert through == engine.list_directory(place, "/etc/")
        assert engine.list_directory(place, "/hollow") == []


def items_are_told_with_their_sizes_and_links_are_no_directories(
    engine: Engine, disk: Path
) -> None:
    sized = {"relative", "absolute", "above", "chain", "hard"}
    sizes = dict.fromkeys(sized, len(specimen.FSTAB))
    sizes |= dict.fromkeys({"dangling", "loop", "host", "directory"}, 0)
    for place in filesystems(engine):
        told = engine.items(place, "/links")
        assert told == [
            Item(name, is_directory=False, size_bytes=size) for name, size in sorted(sizes.items())
        ]
        folders = {item.name: item for item in engine.items(place, "/") if item.is_directory}
        assert set(specimen.DIRECTORIES) <= folders.keys()
        assert {item.size_bytes for item in folders.values()} == {0}
        assert engine.items(place, "/hollow") == []
        with pytest.raises(FileMissing):
            engine.items(place, "/nothing")


def every_file_reads_as_it_was_written_whatever_its_name(engine: Engine, disk: Path) -> None:
    for place in filesystems(engine):
        for name, data in specimen.FILES.items():
            assert engine.read_file(place, f"/{name}") == data, (place.device, name)


def links_lead_to_the_file_and_never_out_of_the_volume(engine: Engine, disk: Path) -> None:
    for place in filesystems(engine):
        for name in ("relative", "absolute", "above", "chain", "hard", "directory/fstab"):
            assert engine.read_file(place, f"/links/{name}") == specimen.FSTAB, name
        assert engine.read_file(place, "/../../etc/../etc/./fstab") == specimen.FSTAB


def a_missing_file_is_told_as_missing_by_every_question(engine: Engine, disk: Path) -> None:
    target = engine.overlay.parent / "never"
    for place in filesystems(engine):
        for path in MISSING:
            with pytest.raises(FileMissing):
                engine.read_file(place, path)
            with pytest.raises(FileMissing):
                engine.list_directory(place, path)
            with pytest.raises(FileMissing):
                engine.copy_out(place, path, target, 1 << 30)
            with pytest.raises(FileMissing):
                engine.same_file(place, "/etc/fstab", path)
    assert not target.exists()


def a_file_is_no_directory_and_a_directory_no_file(engine: Engine, disk: Path) -> None:
    for place in filesystems(engine):
        with pytest.raises(FileMissing):
            engine.list_directory(place, "/etc/fstab")
        with pytest.raises(BakeryError):
            engine.read_file(place, "/etc")


def a_pipe_or_a_device_is_refused_and_never_waited_for(engine: Engine, disk: Path) -> None:
    for place in filesystems(engine):
        for path in (specimen.PIPE, specimen.DEVICE):
            with pytest.raises(BakeryError):
                engine.read_file(place, f"/{path}")


def more_than_the_limit_is_refused_before_it_is_read(engine: Engine, disk: Path) -> None:
    size = len(specimen.KERNEL)
    for place in filesystems(engine):
        assert engine.read_file(place, "/boot/vmlinuz", limit=size) == specimen.KERNEL
        with pytest.raises(BakeryError, match="/boot/vmlinuz"):
            engine.read_file(place, "/boot/vmlinuz", limit=size - 1)


def a_piece_of_a_file_is_as_much_of_it_as_is_asked_for(engine: Engine, disk: Path) -> None:
    size = len(specimen.KERNEL)
    for place in filesystems(engine):
        for start in (0, 1, size - 1, size, size + 1):
            for asked in (1, size - 1, size, size + 1):
                expected = specimen.KERNEL[start : start + asked]
                assert engine.piece(place, "/boot/vmlinuz", start, asked) == expected
        with pytest.raises(FileMissing):
            engine.piece(place, "/boot/nothing", 0, size)


def a_piece_of_the_disk_is_as_much_of_it_as_there_is(engine: Engine, disk: Path) -> None:
    size = disk.stat().st_size
    for start, asked in ((0, 512), (440, 72), (size - 100, 100), (size - 100, 200), (size, 1)):
        assert engine.read_disk(start, asked) == disk.read_bytes()[start : start + asked]


def a_copy_is_the_file_and_replaces_what_was_there(engine: Engine, disk: Path) -> None:
    target = engine.overlay.parent / "copy of it"
    for place in filesystems(engine):
        target.write_bytes(b"x" * (len(specimen.KERNEL) + 1))
        engine.copy_out(place, "/boot/vmlinuz", target, 1 << 30)
        assert target.read_bytes() == specimen.KERNEL
        target.unlink()


def a_copy_of_more_than_the_limit_is_refused_and_leaves_nothing(engine: Engine, disk: Path) -> None:
    target, size = engine.overlay.parent / "copy", len(specimen.KERNEL)
    for place in filesystems(engine):
        with pytest.raises(BakeryError, match=f"holds more than {size - 1} bytes"):
            engine.copy_out(place, "/boot/vmlinuz", target, size - 1)
        assert not target.exists()
        engine.copy_out(place, "/boot/vmlinuz", target, size)
        target.unlink()


def same_file_follows_links_of_both_kinds(engine: Engine, disk: Path) -> None:
    for place in filesystems(engine):
        for name in ("relative", "absolute", "chain", "directory/fstab"):
            assert engine.same_file(place, f"/links/{name}", "/etc/fstab"), name
        assert not engine.same_file(place, "/etc/empty", "/etc/fstab")


def a_volume_without_a_filesystem_is_refused(engine: Engine, disk: Path) -> None:
    for device in (specimen.PV, specimen.SWAP, specimen.LUKS, specimen.NOTHING):
        with pytest.raises(BakeryError, match=device):
            engine.list_directory(volume(engine, device), "/")


def a_path_that_cannot_be_said_is_refused(engine: Engine, disk: Path) -> None:
    place = volume(engine, specimen.BOOT.device)
    for path in ("/etc/a\nb", "/etc/a\0b", "/etc/a\x1b[2Jb", "etc/fstab", ""):
        with pytest.raises(BakeryError):
            engine.read_file(place, path)


READING = (
    the_table_is_the_one_sfdisk_reads_from_the_raw_disk,
    every_volume_but_the_container_is_told_of_in_order,
    a_volume_lies_where_the_survey_places_it,
    uuid_and_label_are_those_blkid_reads_from_the_raw_disk,
    the_volume_group_is_told_with_its_names_and_segments,
    the_subvolumes_of_a_btrfs_are_told_with_the_default,
    a_snapshot_holds_the_files_and_not_the_subvolumes_of_its_origin,
    a_directory_lists_names_and_kinds_through_links,
    a_link_to_a_directory_lists_as_the_directory,
    items_are_told_with_their_sizes_and_links_are_no_directories,
    every_file_reads_as_it_was_written_whatever_its_name,
    links_lead_to_the_file_and_never_out_of_the_volume,
    a_missing_file_is_told_as_missing_by_every_question,
    a_file_is_no_directory_and_a_directory_no_file,
    a_pipe_or_a_device_is_refused_and_never_waited_for,
    more_than_the_limit_is_refused_before_it_is_read,
    a_piece_of_a_file_is_as_much_of_it_as_is_asked_for,
    a_piece_of_the_disk_is_as_much_of_it_as_there_is,
    a_copy_is_the_file_and_replaces_what_was_there,
    a_copy_of_more_than_the_limit_is_refused_and_leaves_nothing,
    same_file_follows_links_of_both_kinds,
    a_volume_without_a_filesystem_is_refused,
    a_path_that_cannot_be_said_is_refused,
)


def an_edit_lands_in_the_overlay_alone(engine: Engine, source: Path) -> None:
    """The edit is read back, also from the closed overlay; the source stays, nothing else does."""
    new = specimen.FSTAB.replace(b"UUID=1-2", b"#UUID=12")
    before = digest(source)
    edited = [place for place in filesystems(engine) if _edit(engine, place, new)]
    assert {place.type for place in edited} >= {"ext4", "xfs"}
    engine.close()
    assert digest(source) == before
    assert [path.name for path in engine.overlay.parent.iterdir()] == [engine.overlay.name]
    subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", engine.overlay], check=True)
    for place in edited:
        assert _found_in(engine.overlay, place, new) >= 1, place.device
        if place.type != "btrfs":  # which leaves the old bytes behind, in blocks now free
            assert _found_in(engine.overlay, place, specimen.FSTAB) == 0, place.device


def a_file_that_holds_something_else_is_not_touched(engine: Engine, source: Path) -> None:
    place = volume(engine, specimen.BOOT.device)
    other = b"?" * len(specimen.FSTAB)
    with pytest.raises(BakeryError):
        engine.replace(place, "/etc/fstab", other, specimen.FSTAB[::-1])
    with pytest.raises(BakeryError):
        engine.replace(place, "/etc/fstab", specimen.FSTAB[:-1], b"x" * (len(specimen.FSTAB) - 1))
    with pytest.raises(FileMissing):
        engine.replace(place, "/etc/nothing", b"", b"")
    assert engine.read_file(place, "/etc/fstab") == specimen.FSTAB
    engine.close()


def a_closed_session_refuses_and_closes_again(engine: Engine, source: Path) -> None:
    place = volume(engine, specimen.BOOT.device)
    engine.close()
    engine.close()
    with pytest.raises(BakeryError):
        engine.read_file(place, "/etc/fstab")


def _edit(engine: Engine, place: Volume, new: bytes) -> bool:
    """Replace the fstab where the engine says it can; where it says why not, it must not."""
    if engine.cannot_edit(place, "/etc/fstab"):
        with pytest.raises(CannotServe):
            engine.replace(place, "/etc/fstab", specimen.FSTAB, new)
        return False
    engine.replace(place, "/etc/fstab", specimen.FSTAB, new)
    assert engine.read_file(place, "/etc/fstab") == new
    assert engine.read_file(place, "/links/hard") == new
    return True


def testimony(engine: Engine) -> dict[str, object]:
    """All an engine tells of an image: two engines must say the same.

    The survey, two levels of every filesystem, the boot loader's entries, every fstab of a
    deployment, and the digest of every file that lies where kernels do.
    """
    survey = engine.survey()
    told: dict[str, object] = {"survey": msgspec.to_builtins(survey)}
    for place in survey.volumes:
        if place.type in ("ext4", "xfs", "btrfs", "vfat"):
            told |= {f"{place.device}:{k}": v for k, v in _tree(engine, place).items()}
    return told


def _tree(engine: Engine, place: Volume) -> dict[str, object]:
    top = engine.list_directory(place, "/")
    told: dict[str, object] = {"/": top}
    folders = ["/" + entry.name for entry in top if entry.is_directory]
    folders += ["/loader/entries", "/boot/loader/entries", "/ostree/deploy", "/boot/ostree"]
    for folder in folders:
        told |= _listing(engine, place, folder)
    kernels = [k for k in told if k.startswith(("/ostree/", "/boot/ostree/"))]
    for folder in kernels:
        told |= _listing(engine, place, folder)
    told |= _files(engine, place, told)
    return told


def _listing(engine: Engine, place: Volume, folder: str) -> dict[str, object]:
    """A folder and the folders in it."""
    try:
        entries = engine.list_directory(place, folder)
    except FileMissing:
        return {folder: None}
    told: dict[str, object] = {folder: entries}
    for entry in entries:
        if entry.is_directory:
            told[f"{folder}/{entry.name}"] = engine.list_directory(place, f"{folder}/{entry.name}")
    return told


def _files(engine: Engine, place: Volume, told: dict[str, object]) -> dict[str, object]:
    """Digests of what is in the folders that were listed and looks like a kernel or a text."""
    wanted = ("vmlinuz", "initr", "fstab", ".conf", "grub.cfg", "os-release")
    found: dict[str, object] = {}
    for folder, entries in told.items():
        for entry in entries or []:  # type: ignore[attr-defined]
            path = f"{folder.rstrip('/')}/{entry.name}"
            if not entry.is_directory and any(word in entry.name for word in wanted):
                found[path] = _digest_inside(engine, place, path)
    return found


def _digest_inside(engine: Engine, place: Volume, path: str) -> str | None:
    target = engine.overlay.parent / "witness"
    try:
        engine.copy_out(place, path, target, 1 << 30)
    except FileMissing:
        return None
    told = digest(target)
    target.unlink()
    return told


def kernels(told: dict[str, object]) -> list[str]:
    """The files of a testimony that are kernels."""
    return [path for path, value in told.items() if "vmlinuz" in path and isinstance(value, str)]


def digest(path: Path) -> str:
    """The sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(disk: Path, place: tuple[Extent, ...], offset: int, length: int) -> bytes:
    """Bytes of a volume, its first extent, straight from the raw disk."""
    assert offset + length <= place[0].length
    with disk.open("rb") as file:
        file.seek(place[0].offset + offset)
        return file.read(length)


def _found_in(overlay: Path, place: Volume, data: bytes) -> int:
    """How often `data` stands in a volume, as a plain qemu-img copy of the overlay shows it."""
    copy = overlay.parent / "copy.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", overlay, copy], check=True)
    with copy.open("rb") as file:
        file.seek(place.place[0].offset)
        count = file.read(place.place[0].length).count(data)
    copy.unlink()
    return count


WRITING: tuple[Callable[[Engine, Path], None], ...] = (
    an_edit_lands_in_the_overlay_alone,
    a_file_that_holds_something_else_is_not_touched,
    a_closed_session_refuses_and_closes_again,
)
