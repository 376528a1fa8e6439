"""Whose processor an image is for: told by its kernels, else by what firmware starts."""

import pytest

from bakery.image.inspection import inspect
from tests.image.test_boot_entries import BOOT, FILES, ROOT, Files, bls, reader
from tests.image.test_inspection import ESP, SYSTEM

ARM = "\0" * 56 + "ARM\x64" + "\0" * 4096


def told(trees):
    engine = Files({volume.device: tree for volume, tree in trees.items()})
    engine.volumes = tuple(trees)
    return inspect(reader(engine))


def test_the_kernel_of_the_first_entry_that_tells_counts():
    files = FILES | bls(1) | {"vmlinuz-1": ARM}
    assert told({BOOT: files, ROOT: SYSTEM}).architecture == "aarch64"
    other = {ESP: {"EFI/BOOT/BOOTX64.EFI": ""}}
    assert told({BOOT: files, ROOT: SYSTEM, **other}).architecture == "aarch64"


@pytest.mark.parametrize(
    ("program", "architecture"), [("BOOTAA64.EFI", "aarch64"), ("bootx64.efi", "x86_64")]
)
def test_without_a_kernel_the_program_of_the_firmware_tells(program, architecture):
    found = told({ESP: {f"EFI/BOOT/{program}": ""}, ROOT: SYSTEM})
    assert (found.architecture, found.firmware) == (architecture, ("uefi",))


def test_where_nothing_tells_it_stays_open():
    assert told({BOOT: FILES | bls(1), ROOT: SYSTEM}).architecture == ""
    assert told({ESP: {"EFI/BOOT/grub.efi": ""}}).firmware == ()
