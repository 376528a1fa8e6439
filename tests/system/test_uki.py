import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.system import pe, uki
from tests.system import programs
from tests.system.programs import read_at

KERNEL, INITRD, UCODE = b"kernel" * 1000, b"initrd" * 700, b"ucode" * 99
BASE = [
    (".osrel", programs.OS_RELEASE),
    (".uname", b"6.1.0-25-amd64\n"),
    (".cmdline", b" root=/dev/vda2\tro\n\x7fquiet\n"),
    (".linux", KERNEL),
    (".initrd", INITRD),
]


def made(folder: Path, *more: tuple[str, bytes]) -> bytes:
    return programs.uki(folder, [*BASE, *more])


def contents(data: bytes, sections: Sequence[pe.Section]) -> list[bytes]:
    return [pe.content(read_at(data), one, 1 << 20) for one in sections]


def test_an_image_holds_kernel_initrd_and_arguments(tmp_path: Path) -> None:
    data = made(tmp_path)
    found = uki.read(read_at(data))
    (profile,) = found.profiles
    assert found.machine == "x86_64"
    assert found.stub.startswith("systemd-stub 2")
    assert not found.sealed
    assert contents(data, [profile.kernel, *profile.initrds]) == [KERNEL, INITRD]
    assert profile.cmdline == "root=/dev/vda2 ro  quiet"
    assert profile.arguments == ("root=/dev/vda2", "ro", "quiet")
    assert profile.uname == "6.1.0-25-amd64"
    assert profile.os_release == {
        "ID": "debian", "PRETTY_NAME": "Debian GNU/Linux 12", "VERSION_ID": "12",
    }  # fmt: skip
    assert (profile.number, profile.id, profile.title, profile.devicetree) == (0, "", "", False)


def test_microcode_comes_in_front_of_the_initrd(tmp_path: Path) -> None:
    data = made(tmp_path, (".ucode", UCODE))
    assert contents(data, uki.read(read_at(data)).profiles[0].initrds) == [UCODE, INITRD]


def test_a_profiles_own_sections_count_before_those_of_the_base(tmp_path: Path) -> None:
    data = made(
        tmp_path,
        (".profile", b"ID=main\nTITLE=Main\n"),
        (".profile", b"ID=debug\nTITLE='With a shell'\n"),
        (".cmdline", b"debug"),
        (".profile", b"#\n"),
        (".initrd", b"other"),
    )
    main, debug, last = uki.read(read_at(data)).profiles
    assert [one.number for one in (main, debug, last)] == [0, 1, 2]
    assert [one.id for one in (main, debug, last)] == ["main", "debug", ""]
    assert [one.title for one in (main, debug, last)] == ["Main", "With a shell", ""]
    assert [one.arguments[-1] for one in (main, debug, last)] == ["quiet", "debug", "quiet"]
    assert contents(data, debug.initrds) == [INITRD]
    assert contents(data, last.initrds) == [b"other"]
    assert {one.kernel for one in (main, debug, last)} == {main.kernel}


def test_an_image_without_arguments_leaves_them_to_a_boot_program(tmp_path: Path) -> None:
    data = programs.uki(tmp_path, [(".linux", KERNEL)])
    (profile,) = uki.read(read_at(data)).profiles
    assert profile.cmdline is None
    assert profile.arguments == ()
    assert profile.os_release is None
    assert profile.initrds == ()


def test_a_devicetree_inside_is_told(tmp_path: Path) -> None:
    assert uki.read(read_at(made(tmp_path, (".dtb", b"tree")))).profiles[0].devicetree
    assert uki.read(read_at(made(tmp_path, (".dtbauto", b"tree")))).profiles[0].devicetree


def test_an_image_is_sealed_by_a_signature_or_by_what_a_tpm_keeps(tmp_path: Path) -> None:
    data = made(tmp_path)
    at = int.from_bytes(data[0x3C:0x40], "little") + 24 + 112 + 4 * 8
    signed = data[:at] + struct.pack("<II", len(data), 8) + data[at + 8 :]
    assert uki.read(read_at(signed)).sealed == "it is signed for Secure Boot"
    assert "TPM" in uki.read(read_at(made(tmp_path, (".pcrsig", b"{}")))).sealed


def test_a_program_without_a_kernel_is_no_image() -> None:
    stub = programs.of_file(programs.STUB)
    assert not uki.is_uki(pe.read(stub))
    with pytest.raises(BakeryError, match=r"profile 0 .* no kernel"):
        uki.read(stub)


def test_a_kernel_of_no_bytes_is_none(tmp_path: Path) -> None:
    data = made(tmp_path)
    at = data.index(b".linux\0\0") + 8
    data = data[:at] + bytes(4) + data[at + 4 :]
    with pytest.raises(BakeryError, match="no kernel"):
        uki.read(read_at(data))


def test_an_addon_adds_arguments_to_the_image_it_is_for(tmp_path: Path) -> None:
    (profile,) = uki.read(read_at(made(tmp_path))).profiles
    texts = ((b"console=ttyS0\n", b""), (b"own", b"6.1.0-25-amd64"), (b"other", b"6.2"))
    addons = []
    for cmdline, uname in texts:
        data = programs.uki(tmp_path, [(".cmdline", cmdline), (".uname", uname)])
        addons.append(uki.read_addon(read_at(data)))
    assert uki.with_addons(profile, addons)[-3:] == ("quiet", "console=ttyS0", "own")
    assert uki.with_addons(profile, addons, "x\ty") == ("x", "y", "console=ttyS0", "own")
    assert uki.with_addons(profile, [], "") == profile.arguments


def test_an_addon_that_holds_a_kernel_is_none(tmp_path: Path) -> None:
    with pytest.raises(BakeryError, match="holds a kernel"):
        uki.read_addon(read_at(made(tmp_path)))


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("/EFI/Linux/a.efi", "/EFI/Linux/a.efi.extra.d"),
        ("/EFI/Linux/a+3.efi", "/EFI/Linux/a.efi.extra.d"),
        ("/EFI/Linux/a+3-1.efi", "/EFI/Linux/a.efi.extra.d"),
        ("/EFI/Linux/a+b.efi", "/EFI/Linux/a+b.efi.extra.d"),
    ],
)
def test_an_images_own_addons_lie_beside_it(path: str, folder: str) -> None:
    assert uki.addon_folder(path) == folder


def test_the_text_in_an_image_is_bounded(tmp_path: Path) -> None:
    data = programs.uki(tmp_path, [(".linux", KERNEL), (".osrel", b"#" * (1 + (64 << 10)))])
    with pytest.raises(BakeryError, match=r"'\.osrel' .* more than 65536"):
        uki.read(read_at(data))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    more = [(".profile", b"ID=a\n"), (".cmdline", b"x"), (".ucode", UCODE)]
    return made(tmp_path_factory.mktemp("uki"), *more)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_cut_or_changed_image_is_read_or_refused(whole: bytes, data: st.DataObject) -> None:
    changed = bytearray(whole)
    for at in data.draw(st.lists(st.integers(0, 900) | st.integers(0, len(whole) - 1))):
        changed[at] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(changed)))
    for part in (changed, changed[:end]):
        try:
            found = uki.read(read_at(bytes(part)))
        except BakeryError:
            continue
        assert found.profiles
        assert all(one.kernel.size_bytes for one in found.profiles)
