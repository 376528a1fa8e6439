"""What ldd and ldconfig print, and the places files have in the ramdisk."""

from pathlib import Path

import pytest

from bakery.host.errors import BakeryError
from bakery.node.ramdisk import programs
from bakery.node.ramdisk.system import System

LDD = """\
\tlinux-vdso.so.1 (0x00007ffd1a5f2000)
\tlibz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x00007f1d2a3e0000)
\tlibc.so.6 => /usr/lib/libc.so.6 (0x00007f1d2a000000)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f1d2a600000)
"""
LDCONFIG = """\
2 libs found in cache `/etc/ld.so.cache'
\tlibzstd.so.1 (libc6) => /lib/i386-linux-gnu/libzstd.so.1
\tlibzstd.so.1 (libc6,x86-64, OS ABI: Linux 3.2.0) => /lib/x86_64-linux-gnu/libzstd.so.1
\tlibzstd.so.1x (libc6,x86-64) => /lib/other
"""


class Printed:
    def __init__(self, text: str) -> None:
        self.text = text


@pytest.fixture
def prints(monkeypatch):
    """The system's programs print this, whatever they are; what was run."""

    def says(text: str):
        ran = []

        def run(_self, argv, **options):
            ran.append((*map(str, argv), options.get("check", True)))
            return Printed(text)

        monkeypatch.setattr(System, "run", run)
        return ran

    return says


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/bin/sh", "usr/bin/sh"),
        ("/sbin/init", "usr/sbin/init"),
        ("/lib64/ld.so", "usr/lib64/ld.so"),
        ("/usr/lib/x", "usr/lib/x"),
        ("/libexec/x", "libexec/x"),
    ],
)
def test_folders_that_are_links_into_usr_are_followed(path, place):
    assert programs.merged(Path(path)) == place


def test_those_links_are_in_the_ramdisk():
    assert {name: entry.content for name, entry in programs.base_folders().items()} == {
        name: f"usr/{name}".encode() for name in ("bin", "sbin", "lib", "lib64")
    }


def test_a_program_comes_with_its_libraries_and_the_loader(prints, tmp_path, monkeypatch):
    ran = prints(LDD)
    monkeypatch.setattr(System, "place", lambda _self, path: tmp_path / path.name)
    for name in ("tool", "libz.so.1", "libc.so.6", "ld-linux-x86-64.so.2"):
        (tmp_path / name).write_text(name)
    taken = programs.with_libraries(System(), [Path("/sbin/tool")])
    assert {place: entry.content.decode() for place, entry in taken.items()} == {
        "usr/sbin/tool": "tool",
        "usr/lib/x86_64-linux-gnu/libz.so.1": "libz.so.1",
        "usr/lib/libc.so.6": "libc.so.6",
        "usr/lib64/ld-linux-x86-64.so.2": "ld-linux-x86-64.so.2",
    }
    assert all(entry.mode & 0o111 for entry in taken.values())
    assert ran == [("ldd", "/sbin/tool", False)], "a static program is no failure"


def test_a_library_that_is_missing_is_named(prints):
    prints("\tlibgone.so.2 => not found\n" + LDD)
    with pytest.raises(BakeryError, match=r"/bin/tool needs the library libgone\.so\.2, which is"):
        programs.with_libraries(System(), [Path("/bin/tool")])


def test_a_library_is_where_the_loader_finds_it(prints):
    prints(LDCONFIG)
    found = programs.library(System(), "libzstd.so.1")
    assert found == Path("/lib/x86_64-linux-gnu/libzstd.so.1")


@pytest.mark.parametrize("name", ["libzstd_so_1", "libzst", "libcrypto.so.3"])
def test_a_library_that_is_not_installed_is_named(prints, name):
    prints(LDCONFIG)
    with pytest.raises(BakeryError, match=f"the library {name} is not installed"):
        programs.library(System(), name)
