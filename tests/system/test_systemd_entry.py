from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.system import pe, systemd_entry, uki
from bakery.system.systemd_entry import Entry, LeftOut
from bakery.system.uki import Profile, Uki
from tests.system import programs

# As kernel-install writes one (Debian 13, systemd 257).
INSTALLED = b"""# Boot Loader Specification type#1 entry
# File created by /usr/lib/kernel/install.d/90-loaderentry.install (systemd 257.4-1)
title      Debian GNU/Linux 13 (trixie)
version    6.12.12-amd64
machine-id 8f3c9d61bd4f4d3aa0e2f7f14f9b6a10
sort-key   debian
options    root=UUID=2f6e1f4a ro systemd.machine_id=8f3c9d61bd4f4d3aa0e2f7f14f9b6a10
linux      /8f3c/6.12.12-amd64/linux
initrd     /8f3c/6.12.12-amd64/initrd.img-6.12.12-amd64
"""


def read(text: bytes, name: str = "a.conf", machine: str = "x86_64", own: str = "") -> Entry:
    found = systemd_entry.of_type_1(text, name, place="esp", machine=machine, own_path=own)
    assert isinstance(found, Entry)
    return found


def reason(text: bytes, machine: str = "x86_64", own: str = "") -> str:
    found = systemd_entry.of_type_1(text, "a.conf", place="esp", machine=machine, own_path=own)
    assert isinstance(found, LeftOut)
    return found.reason


def test_an_entry_that_kernel_install_wrote() -> None:
    found = read(INSTALLED, "8f3c-6.12.12-amd64+3.conf")
    assert found == Entry(
        id="8f3c-6.12.12-amd64+3.conf",
        kind="linux",
        place="esp",
        path="/8f3c/6.12.12-amd64/linux",
        initrds=("/8f3c/6.12.12-amd64/initrd.img-6.12.12-amd64",),
        options="root=UUID=2f6e1f4a ro systemd.machine_id=8f3c9d61bd4f4d3aa0e2f7f14f9b6a10",
        title="Debian GNU/Linux 13 (trixie)",
        version="6.12.12-amd64",
        sort_key="debian",
        machine_id="8f3c9d61bd4f4d3aa0e2f7f14f9b6a10",
        tries_left=3,
    )
    assert found.arguments[:2] == ("root=UUID=2f6e1f4a", "ro")


def test_initrds_are_one_a_line_and_options_are_joined() -> None:
    text = b"linux k\ninitrd \\a b\\c\ninitrd /d\noptions x  y\ninitrd /e\noptions z\nlinux /l\n"
    found = read(text)
    assert found.path == "/l"
    assert found.initrds == ("/a b/c", "/d", "/e")
    assert found.arguments == ("x", "y", "z")


@pytest.mark.parametrize(
    ("text", "kind", "path"),
    [
        (b"efi \\EFI\\memtest\\memtest.efi\ninitrd /i\n", "efi", "/EFI/memtest/memtest.efi"),
        (b"uki /a//b/./c.efi\ninitrd /i\n", "uki", "/a/b/c.efi"),
        (b"uki-url http://x/../y.efi\n", "uki-url", "http://x/../y.efi"),
        (b"linux /a/../b\n", "linux", "/b"),
    ],
)
def test_each_kind_of_program_has_its_key(text: bytes, kind: str, path: str) -> None:
    found = read(text)
    assert (found.kind, found.path) == (kind, path)
    assert found.initrds == ()
    assert found.options is None
    assert found.arguments == ()


def test_a_profile_of_an_image_may_be_named() -> None:
    assert read(b"uki /a.efi\nprofile 2\nextra /x.addon.efi\n").profile == 2
    assert read(b"uki /a.efi\nprofile x\nextra /x.addon.efi\n").extras == ("/x.addon.efi",)
    assert read(b"linux /a\nprofile 2\n").profile == 0


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"title x\noptions y\n", "names no program"),
        (b"linux\n", "names no program"),
        (b"linux /k\nefi /e\n", "several kinds: linux, efi"),
        (b"linux /k\narchitecture aa64\n", "another processor: 'aa64'"),
        (b"linux /../k\n", "no file in its filesystem"),
        (b"linux /\n", "no file in its filesystem"),
        (b"linux /k\ninitrd /a/../../i\n", "no file in its filesystem"),
        (b"linux /k\ndevicetree ..\n", "no file in its filesystem"),
        (b"efi /efi/SYSTEMD/systemd-bootx64.efi\n", "starts the program that reads it"),
    ],
)
def test_what_systemd_boot_shows_no_entry_for_is_left_out_with_the_reason(
    text: bytes, why: str
) -> None:
    assert why in reason(text, own="/EFI/systemd/systemd-bootx64.efi")


def test_an_architecture_is_written_as_uefi_does_in_any_case() -> None:
    assert read(b"linux /k\narchitecture X64\n").path == "/k"
    assert read(b"linux /k\narchitecture aa64\n", machine="aarch64").path == "/k"
    assert read(b"linux /k\narchitecture aa64\n", machine="").path == "/k"


@pytest.mark.parametrize(
    ("name", "left", "done"),
    [
        ("a.conf", None, 0),
        ("a+3.conf", 3, 0),
        ("a+2-1.CONF", 2, 1),
        ("a+0-3.conf", 0, 3),
        ("a+1+4-2.conf", 4, 2),
        ("a+3-.conf", None, 0),
        ("a+3b.conf", None, 0),
        ("a+.conf", None, 0),
        ("a+3.x.conf", None, 0),
        ("a+2147483647.conf", 2147483647, 0),
        ("a+2147483648.conf", None, 0),
        ("a+99999999999999999999.conf", None, 0),
        ("a+3-99999999999999999999.conf", None, 0),
    ],
)
def test_tries_are_counted_at_the_end_of_a_name(name: str, left: int | None, done: int) -> None:
    found = read(b"linux /k\n", name)
    assert (found.tries_left, found.tries_done) == (left, done)


def test_a_name_tells_what_is_looked_into() -> None:
    assert [systemd_entry.is_entry(n) for n in ("a.conf", "A.CONF", "b.conf.bak", ".a.conf")] == [
        True, True, False, False,
    ]  # fmt: skip
    assert not systemd_entry.is_entry("Auto-windows.conf")
    assert [systemd_entry.is_image(n) for n in ("a.efi", "A.EFI", "a.conf", ".a.efi")] == [
        True, True, False, False,
    ]  # fmt: skip


def image(folder: Path, *more: tuple[str, bytes], release: bytes = programs.OS_RELEASE) -> Uki:
    sections = [(".osrel", release), (".cmdline", b"ro"), (".linux", b"k"), *more]
    return uki.read(programs.read_at(programs.uki(folder, sections)))


def entries(found: Uki, name: str) -> list[Entry]:
    listed = systemd_entry.of_type_2(found, name, place="xbootldr")
    assert all(isinstance(one, Entry) for one in listed)
    return [one for one in listed if isinstance(one, Entry)]


def test_an_image_is_an_entry_named_by_its_os_release(tmp_path: Path) -> None:
    (found,) = entries(image(tmp_path), "Debian-6.1+2-1.efi")
    assert found == Entry(
        id="debian-6.1+2-1.efi",
        kind="uki",
        place="xbootldr",
        path="/EFI/Linux/Debian-6.1+2-1.efi",
        title="Debian GNU/Linux 12",
        version="12",
        sort_key="debian",
        tries_left=2,
        tries_done=1,
    )
    assert found.options is None


def test_an_images_own_release_counts_before_the_systems(tmp_path: Path) -> None:
    release = b"IMAGE_ID=own\nIMAGE_VERSION=7\nID=debian\nVERSION=12\nNAME=Debian\n"
    (found,) = entries(image(tmp_path, release=release), "a.efi")
    assert (found.title, found.version, found.sort_key) == ("own", "7", "own")


def test_each_profile_is_an_entry(tmp_path: Path) -> None:
    more = [
        (".profile", b"ID=main\nTITLE=Usual\n"),
        (".profile", b"ID=Debug\n"),
        (".profile", b"TITLE=Factory reset\n"),
        (".profile", b"#\n"),
    ]
    found = entries(image(tmp_path, *more), "A.efi")
    assert [one.id for one in found] == ["a.efi", "a.efi@debug", "a.efi@2", "a.efi@3"]
    assert [one.title.removeprefix("Debian GNU/Linux 12") for one in found] == [
        " (Usual)", " (Debug)", " (Factory reset)", " (Profile #4)",
    ]  # fmt: skip
    assert [one.profile for one in found] == [0, 1, 2, 3]


def test_an_image_that_names_no_system_has_no_entry(tmp_path: Path) -> None:
    for release in (b"VERSION=1\n", None):
        sections = [(".linux", b"k"), *([(".osrel", release)] if release else [])]
        found = uki.read(programs.read_at(programs.uki(tmp_path, sections)))
        (left_out,) = systemd_entry.of_type_2(found, "a.efi", place="esp")
        assert isinstance(left_out, LeftOut)
        assert "which system it starts" in left_out.reason


def test_behind_a_profile_without_arguments_no_other_is_shown() -> None:
    kernel = pe.Section(".linux", 0, 1)
    profiles = [
        Profile(number=n, kernel=kernel, cmdline=line, initrds=(), os_release={"ID": "a"})
        for n, line in enumerate(["x", None, "y"])
    ]
    found = Uki(machine="x86_64", stub="", sealed="", profiles=tuple(profiles))
    assert [one.id for one in entries(found, "a.efi")] == ["a.efi", "a.efi@1"]


def test_a_program_that_systemd_boot_knows_is_no_usual_entry() -> None:
    found = systemd_entry.of_program("auto-windows", "Windows", place="esp", path="/EFI/w.efi")
    assert (found.kind, found.id, found.path) == ("auto", "auto-windows", "/EFI/w.efi")


LINES = st.lists(
    st.sampled_from(
        [b"linux /k", b"efi \\e", b"uki u", b"initrd /i", b"initrd ..", b"options a", b"title 'x'",
         b"version 1", b"machine-id m", b"sort-key", b"architecture x64", b"devicetree /d", b"#"]
    )
    | st.binary(max_size=20),
    max_size=8,
).map(b"\n".join)  # fmt: skip


@given(LINES, st.text("a+-0123.conf", max_size=12))
def test_any_bytes_are_an_entry_left_out_or_refused(text: bytes, name: str) -> None:
    try:
        found = systemd_entry.of_type_1(text, name, place="esp", machine="x86_64")
    except BakeryError:
        return
    if isinstance(found, LeftOut):
        assert found.reason
        return
    paths = [*found.initrds, *filter(None, [found.devicetree])]
    paths += [] if found.kind == "uki-url" else [found.path]
    assert all(path.startswith("/") and ".." not in path.split("/") for path in paths)
