import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.system import efi_fallback
from bakery.system.efi_fallback import Option

# As Fedora's shim-x64 brings it, /boot/efi/EFI/fedora/BOOTX64.CSV.
FEDORA = "\ufeffshimx64.efi,Fedora,,This is the boot entry for Fedora\n"


def test_a_file_names_a_program_beside_it() -> None:
    expected = (Option("shimx64.efi", "Fedora", ""),)
    assert efi_fallback.parse(FEDORA.encode("utf-16-le")) == expected
    assert efi_fallback.parse(FEDORA[1:].encode("utf-16-le")) == expected


def test_a_program_may_be_started_with_another_ones_path() -> None:
    text = "\r\nshimx64.efi,UKI,\\EFI\\Linux\\a.efi ,x,y\r\nb.efi,B\n,no,\nno\nc.efi,,x\n"
    assert efi_fallback.parse(text.encode("utf-16-le")) == (
        Option("shimx64.efi", "UKI", "\\EFI\\Linux\\a.efi "),
        Option("b.efi", "B", ""),
    )


def test_the_file_for_the_processor_comes_first() -> None:
    assert efi_fallback.file_names("aarch64") == ("bootaa64.csv", "boot.csv")


def test_a_file_is_bounded() -> None:
    with pytest.raises(BakeryError, match="65537 bytes"):
        efi_fallback.parse(bytes(65537))


@given(st.binary(max_size=200) | st.text("a,\n\r\0").map(lambda text: text.encode("utf-16-le")))
def test_any_bytes_are_entries(data: bytes) -> None:
    assert all(one.file and one.title for one in efi_fallback.parse(data))
