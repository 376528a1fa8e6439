"""A medium read back: by its bytes, by pycdlib, and by programs that are not ours."""

import io
import os
import shutil
import struct
import subprocess
import time

import pytest
from pycdlib import PyCdlib

from bakery.host.errors import BakeryError
from bakery.host.report import silent
from bakery.netboot import media_image, media_programs
from bakery.netboot.media import MENU_BYTES, OWN_BYTES, menu, own
from bakery.netboot.media_image import END_BYTES, medium
from tests.netboot.media import SECTOR, foreign, small, written

ARGS = ("console=ttyS0", "BOOTIF=01-52-54-00-00-00-01")
SECRETS = ("deployment_key=SECRET",)
VENDORS = {"x86_64": b"\0", "aarch64": b"\xef"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("medium")


@pytest.fixture(scope="module")
def made(folder):
    return small(folder)


@pytest.fixture(scope="module")
def iso(made, folder):
    return written(made.of_node(ARGS, SECRETS), folder / "node.iso")


def extract(iso, place, folder):
    words = ["xorriso", "-osirrox", "on", "-indev", iso, "-extract", place, folder / "out"]
    subprocess.run(words, check=True, capture_output=True)
    return (folder / "out").read_bytes()


def test_pycdlib_reads_each_file(iso, folder):
    image = PyCdlib()
    image.open(str(iso))
    read = {}
    for place in ("KERNEL.IMG", "RAMDISK.IMG", "OWN.IMG", "GRUB/GRUB.CFG"):
        out = io.BytesIO()
        image.get_file_from_iso_fp(out, iso_path=f"/BOOT/{place};1")
        read[place] = out.getvalue()
    image.close()
    assert read["KERNEL.IMG"] == (folder / "kernel").read_bytes()
    assert read["RAMDISK.IMG"] == (folder / "ramdisk").read_bytes()
    assert read["OWN.IMG"] == own(SECRETS)
    assert read["GRUB/GRUB.CFG"] == menu(ARGS)


@pytest.mark.parametrize(
    ("place", "content"),
    [
        ("/BOOT/GRUB/GRUB.CFG", lambda _: menu(ARGS)),
        ("/BOOT/OWN.IMG", lambda _: own(SECRETS)),
        ("/BOOT/KERNEL.IMG", lambda folder: (folder / "kernel").read_bytes()),
        ("/BOOT/RAMDISK.IMG", lambda folder: (folder / "ramdisk").read_bytes()),
    ],
)
def test_xorriso_reads_each_file(iso, folder, tmp_path, place, content):
    assert extract(iso, place, tmp_path) == content(folder)


def test_xorriso_finds_what_bios_and_uefi_start(iso):
    words = ["xorriso", "-indev", iso, "-report_el_torito", "plain"]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    lines = [line.split() for line in told.splitlines()]
    assert ["El", "Torito", "img", "path", ":", "1", "/BOOT/BIOS.IMG"] in lines
    assert ["El", "Torito", "img", "path", ":", "2", "/BOOT/ESP.IMG"] in lines
    assert ["El", "Torito", "img", "opts", ":", "1", "boot-info-table"] in lines


def catalog(content):
    """El Torito 1.0, 2.0: the boot record names the catalog, whose entries have 32 bytes."""
    record = content[17 * SECTOR :][:SECTOR]
    assert record[:7] == b"\0CD001\x01" and record[7:30] == b"EL TORITO SPECIFICATION"
    (at,) = struct.unpack_from("<I", record, 0x47)
    found = content[at * SECTOR :][:SECTOR]
    return [found[start : start + 32] for start in range(0, 128, 32)]


def test_the_catalog_is_el_toritos(iso):
    content = iso.read_bytes()
    validation, first, section, second = catalog(content)
    assert (validation[0], validation[1], validation[30:]) == (1, 0, b"\x55\xaa")
    assert sum(struct.unpack("<16H", validation)) & 0xFFFF == 0
    bootable, emulation, segment, _, _, sectors, at = struct.unpack_from("<BBHBBHI", first)
    assert (bootable, emulation, segment, sectors) == (0x88, 0, 0, 4)
    # The boot information table, which GRUB reads itself by: mkisofs(8), -boot-info-table.
    descriptor, start, length = struct.unpack_from("<III", content, at * SECTOR + 8)
    assert (descriptor, start) == (16, at)
    assert length > 20_000
    assert (section[0], section[1]) == (0x91, 0xEF)
    bootable, emulation, _, _, _, sectors, at = struct.unpack_from("<BBHBBHI", second)
    assert (bootable, emulation) == (0x88, 0)
    assert content[at * SECTOR :][510:512] == b"\x55\xaa"
    (sectors_of_fat,) = struct.unpack_from("<H", content, at * SECTOR + 19)
    assert sectors == sectors_of_fat


def test_behind_the_last_file_is_what_a_bios_may_read(iso, made):
    content = iso.read_bytes()
    assert len(content) == made.size_bytes
    assert content[-END_BYTES:] == bytes(END_BYTES)
    assert max(made.menu_at + MENU_BYTES, made.own_at + OWN_BYTES) <= len(content) - END_BYTES


def test_nothing_of_the_moment_or_the_place_is_in_it(folder, made, tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        later = time.time() + 123_456_789
        monkeypatch.setattr(time, "time", lambda: later)
        (tmp_path / "elsewhere").mkdir()
        again = medium(tmp_path / "elsewhere", folder / "kernel", folder / "ramdisk", silent())
    finally:
        monkeypatch.undo()
        time.tzset()
    assert again.file.path.read_bytes() == made.file.path.read_bytes()
    assert again.file.path.name == made.file.path.name


def test_what_is_there_is_not_made_again(folder, made):
    before = made.file.path.stat()
    again = medium(folder / "media", folder / "kernel", folder / "ramdisk", silent())
    assert again == made
    assert made.file.path.stat().st_ino == before.st_ino


def test_another_ramdisk_is_another_medium(folder, made, tmp_path):
    (tmp_path / "ramdisk").write_bytes(b"another")
    other = medium(folder / "media", folder / "kernel", tmp_path / "ramdisk", silent())
    assert other.file.path != made.file.path


def test_for_arm64_it_is_for_uefi_alone(tmp_path):
    made = small(tmp_path, "aarch64", foreign(tmp_path / "root"))
    iso = written(made.of_node(ARGS, SECRETS), tmp_path / "node.iso")
    validation, first, section, _ = catalog(iso.read_bytes())
    assert validation[1] == 0xEF
    assert first[0] == 0x88
    assert section == bytes(32)
    assert extract(iso, "/BOOT/GRUB/GRUB.CFG", tmp_path) == menu(ARGS)
    esp = tmp_path / "esp"
    esp.write_bytes(extract(iso, "/BOOT/ESP.IMG", tmp_path))
    listed = subprocess.run(
        ["mdir", "-i", esp, "-b", "::/EFI/BOOT"], check=True, capture_output=True, text=True
    ).stdout
    assert listed.split() == ["::/EFI/BOOT/BOOTAA64.EFI"]
    assert not made.secure_boot


def test_a_kernel_for_another_processor_has_no_medium(tmp_path):
    with pytest.raises(BakeryError, match="no medium can be made for the processor riscv64"):
        small(tmp_path, "riscv64")
    (tmp_path / "kernel").write_bytes(b"no kernel")
    with pytest.raises(BakeryError, match="no medium can be made"):
        medium(tmp_path, tmp_path / "kernel", tmp_path / "ramdisk", silent())


def test_a_draft_that_cannot_be_finished_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(PyCdlib, "write_fp", full)
    with pytest.raises(BakeryError, match="No space left on device"):
        small(tmp_path)
    assert list((tmp_path / "media").iterdir()) == []


def test_a_file_that_is_no_medium_is_not_taken_for_one(folder, made, tmp_path):
    shutil.copy(made.file.path, tmp_path / made.file.path.name)
    with (tmp_path / made.file.path.name).open("r+b") as file:
        file.truncate(16 * SECTOR)
    with pytest.raises(BakeryError, match="is no medium of bakery's"):
        medium(tmp_path, folder / "kernel", folder / "ramdisk", silent())


def test_only_its_owner_can_read_it_and_a_link_is_not_followed(made, folder, tmp_path):
    assert made.file.path.stat().st_mode & 0o777 == 0o600
    (tmp_path / "media").symlink_to(folder)
    with pytest.raises(BakeryError, match="is a link"):
        medium(tmp_path / "media", folder / "kernel", folder / "ramdisk", silent())


def test_a_file_beyond_what_iso_9660_counts_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(media_image, "FILE_LIMIT_BYTES", 1 << 16)
    with pytest.raises(BakeryError, match="is too large for a medium"):
        small(tmp_path)


def test_the_processors_of_media_are_told():
    assert set(media_programs.UEFI) == set(VENDORS)
