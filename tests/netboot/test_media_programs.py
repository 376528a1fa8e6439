import subprocess
from pathlib import Path

import pytest

from bakery.host import tools
from bakery.host.errors import BakeryError, MissingTool
from bakery.netboot import media_programs
from tests.netboot.media import foreign

OF_X86 = media_programs.UEFI["x86_64"]


def place(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)


SHIM = "usr/lib/shim/shimx64.efi.signed"
SIGNED = "usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed"
PLAIN = "usr/lib/grub/x86_64-efi/monolithic/gcdx64.efi"


@pytest.mark.parametrize(
    ("there", "names"),
    [
        ((SHIM, SIGNED, PLAIN), {"BOOTX64.EFI": SHIM, "GRUBX64.EFI": SIGNED}),
        ((SHIM, PLAIN), {"BOOTX64.EFI": PLAIN}),
        ((SIGNED, PLAIN), {"BOOTX64.EFI": PLAIN}),
        ((PLAIN,), {"BOOTX64.EFI": PLAIN}),
    ],
)
def test_signed_programs_go_in_where_both_are_there(tmp_path, there, names):
    place(tmp_path, *there)
    found = OF_X86.find(tmp_path)
    assert {name: str(path.relative_to(tmp_path)) for name, path in found.items()} == names


@pytest.mark.parametrize(
    ("processor", "package"),
    [("x86_64", "grub-efi-amd64-bin"), ("aarch64", "grub-efi-arm64-bin")],
)
def test_a_program_that_is_missing_is_named_with_its_package(tmp_path, processor, package):
    with pytest.raises(BakeryError, match=r"the boot program gcd\w+.efi is not on this") as caught:
        media_programs.of_processor(processor).find(tmp_path)
    assert caught.value.hint == f"sudo apt-get install {package}"


@pytest.mark.parametrize("processor", ["", "riscv64", "i686"])
def test_for_other_processors_there_is_no_medium(processor):
    with pytest.raises(BakeryError, match="no medium can be made for the processor") as caught:
        media_programs.of_processor(processor)
    assert caught.value.hint == "media are made for x86_64 and aarch64"


def test_mtools_reads_the_programs_back_from_the_esp(tmp_path):
    programs = {"BOOTX64.EFI": tmp_path / "a", "GRUBX64.EFI": tmp_path / "b"}
    for number, path in enumerate(programs.values(), 1):
        path.write_bytes(bytes([number]) * number * 777_777)
    esp = media_programs.esp(tmp_path, programs)
    for name, path in programs.items():
        words = ["mcopy", "-i", esp, f"::/EFI/BOOT/{name}", tmp_path / "back"]
        subprocess.run([*words[:1], "-n", *words[1:]], check=True)
        assert (tmp_path / "back").read_bytes() == path.read_bytes()
        (tmp_path / "back").unlink()
    (tmp_path / "again").mkdir()
    assert media_programs.esp(tmp_path / "again", programs).read_bytes() == esp.read_bytes()


def test_programs_too_large_for_a_catalogs_entry_are_refused(tmp_path):
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(33 << 20)
    with pytest.raises(BakeryError, match="too large for a medium"):
        media_programs.esp(tmp_path, {"BOOTX64.EFI": tmp_path / "huge"})


def test_bios_starts_what_grub_made_of_its_modules(tmp_path):
    (tmp_path / "again").mkdir()
    images = [media_programs.bios(at, Path("/")) for at in (tmp_path, tmp_path / "again")]
    one, other = (image.read_bytes() for image in images)
    assert one == other
    assert 20_000 < len(one) < 512_000


def test_modules_and_tools_that_are_missing_are_named(tmp_path, monkeypatch):
    with pytest.raises(BakeryError, match="modules for BIOS") as caught:
        media_programs.bios(tmp_path, foreign(tmp_path / "root"))
    assert caught.value.hint == "sudo apt-get install grub-pc-bin"
    monkeypatch.setattr(tools, "missing", list)
    with pytest.raises(MissingTool, match="mformat") as lacking:
        media_programs.esp(tmp_path, {})
    assert "mtools" in lacking.value.hint
