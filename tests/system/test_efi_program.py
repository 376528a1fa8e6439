import re
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.node.ramdisk import kernel
from bakery.system import efi_program
from tests.system import programs
from tests.system.programs import read_at

SHIM_SBAT = b"sbat,1,SBAT Version,sbat,1,https://x\nshim,4,UEFI shim,shim,1,https://x\n"
BANNER = b"UEFI SHIM\n$Version: 15.4 $\n"


def utf16(*texts: str) -> bytes:
    return b"".join(text.encode("utf-16-le") + b"\0\0" for text in texts)


# The names of programs that shim 16.1 and 15.4 hold, in their order.
SHIM_NAMES = utf16(
    "\\fbx64.efi", "Could not get image for bootx64.efi: %r\n", "\\EFI\\BOOT\\fbx64.efi",
    "\\mmx64.efi", "\\\\grubx64.efi", "revocations_sku.efi", "revocations_sbat.efi",
    "shim_certificate", "\\EFI\\BOOT\\BOOT", "%s/BOOTX64.EFI",
)  # fmt: skip


def made(folder: Path, *sections: tuple[str, bytes], base: Path | None = None) -> bytes:
    """A program of sections alone: the stub says that it is systemd's, so its own magic goes."""
    data = programs.uki(folder, list(sections), base or programs.STUB)
    return data.replace(b".sdmagic", b".gone\0\0\0", 1).replace(b".sbat\0\0\0", b".own\0\0\0\0", 1)


def kind(data: bytes) -> str:
    return efi_program.read(read_at(data)).kind


def test_systemd_boot_says_what_it_is() -> None:
    found = efi_program.read(programs.of_file(programs.SYSTEMD_BOOT))
    assert (found.kind, found.machine, found.signed) == ("systemd-boot", "x86_64", False)
    assert re.fullmatch(r"systemd-boot 2\d\d[!-~]*", found.version)


def test_an_old_systemd_boot_without_a_section_for_that_is_known_by_its_bytes() -> None:
    data = programs.SYSTEMD_BOOT.read_bytes().replace(b".sdmagic", b".rodata\0", 1)
    assert efi_program.read(read_at(data)).version.startswith("systemd-boot 2")


def test_debians_grub_says_where_its_menu_is() -> None:
    found = efi_program.read(programs.of_file(programs.GRUB))
    assert (found.kind, found.machine) == ("grub", "x86_64")
    assert found.version.startswith("2.")
    assert found.grub is not None
    assert (found.grub.prefix, found.grub.config) == ("/EFI/debian", "normal (memdisk)/grub.cfg\n")


def test_a_grub_without_sbat_is_known_by_what_it_brings_along(tmp_path: Path) -> None:
    data = programs.grub_program(tmp_path, prefix="(,gpt2)/boot/grub")
    found = efi_program.read(read_at(data))
    assert (found.kind, found.version) == ("grub", "")
    assert found.grub is not None
    assert found.grub.prefix == "(,gpt2)/boot/grub"


def test_a_grub_that_is_damaged_where_it_matters_is_refused(tmp_path: Path) -> None:
    data = programs.grub_program(tmp_path)
    at = data.index(b"mods\0\0\0\0")
    place = struct.unpack_from("<I", data, at + 20)[0]
    with pytest.raises(BakeryError, match="no header"):
        efi_program.read(read_at(data[:place] + b"x" + data[place + 1 :]))


def test_a_unified_kernel_image_is_told_from_its_stub(tmp_path: Path) -> None:
    found = efi_program.read(read_at(programs.uki(tmp_path, [(".linux", b"kernel")])))
    assert found.kind == "uki"
    assert found.version.startswith("systemd-stub 2")
    assert efi_program.read(programs.of_file(programs.STUB)).kind == "other"


def test_a_kernel_is_an_efi_program_too() -> None:
    found = efi_program.read(programs.of_file(kernel.find().image))
    assert (found.kind, found.machine) == ("kernel", "x86_64")


def test_a_shim_names_the_program_it_starts(tmp_path: Path) -> None:
    for sections in (
        [(".sbat", SHIM_SBAT), (".words", SHIM_NAMES)],
        [(".words", SHIM_NAMES + BANNER)],  # from before there was SBAT
    ):
        found = efi_program.read(read_at(made(tmp_path, *sections)))
        assert (found.kind, found.next_program) == ("shim", "grubx64.efi")


def test_a_shim_with_another_program_in_mind_says_so(tmp_path: Path) -> None:
    names = SHIM_NAMES.replace(utf16("\\\\grubx64.efi"), utf16("\\\\systemd-bootx64.efi"))
    found = efi_program.read(read_at(made(tmp_path, (".sbat", SHIM_SBAT), (".words", names))))
    assert found.next_program == "systemd-bootx64.efi"
    several = names + utf16("\\\\grubx64.efi")
    found = efi_program.read(read_at(made(tmp_path, (".sbat", SHIM_SBAT), (".words", several))))
    assert (found.kind, found.next_program) == ("shim", "")


def test_shims_helpers_are_told_from_shim(tmp_path: Path) -> None:
    sbat = (".sbat", SHIM_SBAT)
    fallback = utf16("boot.csv", "bootx64.csv", "\\EFI\\%s\\")
    assert kind(made(tmp_path, sbat, (".words", fallback))) == "shim-fallback"
    manager = utf16("Perform MOK management", "\\EFI\\BOOT\\BOOT")
    assert kind(made(tmp_path, sbat, (".words", manager))) == "other"


def test_another_program_is_no_loader_that_is_known(tmp_path: Path) -> None:
    assert kind(made(tmp_path, (".words", SHIM_NAMES))) == "other"


def test_what_is_no_program_is_refused() -> None:
    with pytest.raises(BakeryError, match="no EFI program"):
        efi_program.read(read_at(b"#!/bin/sh\n"))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_cut_or_changed_grub_is_told_or_refused(grub: bytes, data: st.DataObject) -> None:
    changed = bytearray(grub)
    place = st.integers(0, 600) | st.integers(0, len(grub) - 1)
    for at in data.draw(st.lists(place, max_size=6)):
        changed[at] = data.draw(st.integers(0, 255))
    end = data.draw(st.just(len(grub)) | st.integers(0, len(grub)))
    try:
        found = efi_program.read(read_at(bytes(changed[:end])))
    except BakeryError:
        return
    assert (found.grub is not None) == (found.kind == "grub")


@pytest.fixture(scope="module")
def grub(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return programs.grub_program(tmp_path_factory.mktemp("grub"), config="set a=b\n")
