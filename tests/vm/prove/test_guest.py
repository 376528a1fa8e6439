"""The guest that a build would be: nothing is booted."""

import json

import pytest

from bakery.disk.packed import framed
from bakery.host.errors import BakeryError
from bakery.host.run import run
from bakery.vm.board import AARCH64, X86_64
from bakery.vm.firmware import FlashFile, Uefi
from bakery.vm.machine import Image
from bakery.vm.prove import guest
from bakery.vm.prove.guest import board_of, compose
from tests.vm.prove.builds import MIB, make


@pytest.fixture
def composed(tmp_path):
    """The guest of a build with these fields, and what was told."""

    def compose_(asked=None, board=X86_64, kernel=b"", **fields):
        build = make(tmp_path / "build", b"", **fields)
        build.kernel.write_bytes(kernel)
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        notes: list[str] = []
        return compose(build, board, scratch, asked, notes.append), notes

    return compose_


@pytest.fixture
def uefi(tmp_path, monkeypatch):
    (tmp_path / "vars").write_bytes(b"as installed")
    found = Uefi(FlashFile("/code"), FlashFile(str(tmp_path / "vars")))
    monkeypatch.setattr(guest, "need_uefi", lambda **_: found)
    return found


def virtual_size(image: Image) -> int:
    info = json.loads(run(["qemu-img", "info", "--output=json", image.path]).text)
    assert info["format"] == image.format
    return int(info["virtual-size"])


def test_a_whole_disk_is_the_guests_own_under_an_overlay(composed, tmp_path):
    found, notes = composed()
    (disk,) = found.disks
    assert disk.backing == Image((tmp_path / "build/tiny-base").absolute())
    assert virtual_size(disk.image) == MIB
    assert not disk.lasting, "its flushes cost time, and nobody reads it"
    assert (found.linux, found.uefi, notes) == (None, None, [])


@pytest.mark.parametrize(
    ("known", "asked", "uefi_boots"),
    [
        (("bios", "uefi"), None, False),
        (("uefi",), None, True),
        (("bios",), "uefi", True),
        (("uefi",), "bios", False),
        ((), "bios", False),
    ],
)
def test_a_whole_disk_is_booted_as_asked_or_as_it_can_be(composed, uefi, known, asked, uefi_boots):
    found, _ = composed(asked, firmware=known)
    assert found.uefi == (uefi if uefi_boots else None)


def test_the_variables_of_a_uefi_guest_are_a_copy(composed, uefi, tmp_path):
    found, _ = composed("uefi")
    assert found.variables is not None
    assert found.variables.read_bytes() == b"as installed"
    found.variables.write_bytes(b"changed")
    assert uefi.variables.path.read_bytes() == b"as installed"


@pytest.mark.parametrize(("layout", "kind"), [("pv", framed.LINUX_LVM), ("lv", framed.LINUX)])
def test_a_partition_is_in_a_disk_around_it(composed, tmp_path, monkeypatch, layout, kind):
    kinds = []
    frame = framed.frame

    def kept(base, folder, kind):
        kinds.append(kind)
        return frame(base, folder, kind)

    monkeypatch.setattr(framed, "frame", kept)
    found, _ = composed(layout=layout, firmware=())
    (disk,) = found.disks
    assert disk.backing is not None and disk.backing.format == "vmdk"
    size = framed.START_SECTOR * framed.SECTOR_BYTES + MIB
    assert virtual_size(disk.image) == size == virtual_size(disk.backing)
    assert kinds == [kind]
    assert found.linux is not None
    assert found.linux.kernel == tmp_path / "build/tiny-kernel"
    assert found.linux.initrd == tmp_path / "build/tiny-ramdisk"
    assert found.linux.args == ("console=ttyS0",)


@pytest.mark.parametrize("own", ["console=ttyS0,115200n8", "console=uart8250,io,0x3f8"])
def test_an_image_that_talks_on_a_serial_console_is_left_as_it_is(composed, own):
    found, notes = composed(layout="lv", firmware=(), kernel_args=("quiet", own))
    assert (found.linux.args, notes) == (("quiet", own), [])


@pytest.mark.parametrize("other", ["console=tty0", "console=ttyS01x", "xconsole=ttyS0"])
def test_an_image_without_a_serial_console_gets_one_and_it_is_told(composed, other):
    found, notes = composed(layout="lv", firmware=(), kernel_args=(other,))
    assert found.linux.args == (other, "console=ttyS0")
    assert len(notes) == 1 and "console=ttyS0 is added" in notes[0]


def test_what_cannot_be_booted_by_firmware_is_refused_with_the_way_out(composed):
    with pytest.raises(BakeryError, match="layout lv is not booted by firmware") as refused:
        composed("bios", layout="lv", firmware=())
    assert "--layout disk" in refused.value.hint


def test_a_disk_without_a_known_boot_loader_is_refused_with_the_way_out(composed):
    with pytest.raises(BakeryError, match="tiny-base holds no boot loader") as refused:
        composed(firmware=())
    assert "--firmware uefi" in refused.value.hint


def test_a_disk_of_larger_sectors_is_shown_in_them_to_firmware_that_boots_it(composed, uefi):
    found, _ = composed(sector_bytes=4096, firmware=("bios", "uefi"))
    assert (found.disks[0].sector_bytes, found.uefi) == (4096, uefi)


def test_no_bios_boots_a_disk_of_larger_sectors(composed):
    with pytest.raises(BakeryError, match="4096-byte sectors") as caught:
        composed("bios", sector_bytes=4096)
    assert "--firmware uefi" in caught.value.hint


ZBOOT_KERNEL = b"MZ\0\0zimg" + bytes(100)
ARM_KERNEL = bytes(56) + b"ARM\x64" + bytes(100)


def test_a_build_is_for_the_processor_that_its_manifest_names(tmp_path):
    notes: list[str] = []
    for processor, board in (("aarch64", AARCH64), ("x86_64", X86_64)):
        build = make(tmp_path / processor, b"", architecture=processor)
        assert board_of(build, notes.append) is board
    with pytest.raises(BakeryError, match="riscv64"):
        board_of(make(tmp_path / "other", b"", architecture="riscv64"), notes.append)
    assert notes == []


def test_of_an_older_manifest_the_kernel_tells_the_processor(tmp_path):
    notes: list[str] = []
    build = make(tmp_path, b"", architecture="")
    build.kernel.write_bytes(ARM_KERNEL)
    assert (board_of(build, notes.append), notes) == (AARCH64, [])
    build.kernel.write_bytes(b"")
    assert board_of(build, notes.append) is X86_64
    assert notes == ["nothing tells which processor it is for: it is tried as x86_64"]


@pytest.mark.parametrize(("kernel", "firmware"), [(ARM_KERNEL, False), (ZBOOT_KERNEL, True)])
def test_a_kernel_that_unpacks_itself_is_started_by_firmware(composed, uefi, kernel, firmware):
    found, _ = composed(board=AARCH64, layout="lv", firmware=(), kernel=kernel)
    assert (found.uefi == uefi, found.linux is not None) == (firmware, True)


def test_a_disk_for_arm64_is_booted_by_uefi_and_there_is_no_bios(composed, uefi):
    found, _ = composed(board=AARCH64, firmware=())
    assert found.uefi == uefi


def test_a_bios_for_arm64_is_refused_with_the_way_out(composed):
    with pytest.raises(BakeryError, match="aarch64 machines have no BIOS") as refused:
        composed("bios", board=AARCH64)
    assert "--firmware" in refused.value.hint


def test_the_serial_console_of_arm64_has_another_name(composed):
    args = ("console=ttyS0",)
    found, notes = composed(board=AARCH64, layout="lv", firmware=(), kernel_args=args)
    assert found.linux.args == ("console=ttyS0", "console=ttyAMA0")
    assert len(notes) == 1
