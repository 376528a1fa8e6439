"""Kernel arguments changed in the files that tell a boot loader them."""

import pytest

from bakery.host.errors import BakeryError
from bakery.system import bls, loader

ENTRY = b"title x\noptions root=UUID=1 ro console=tty0 console=ttyS0\nlinux /vmlinuz-6.1\n"
CHANGE = loader.change(("console",), ("console=ttyS1,115200",))
NOTHING = loader.change((), ())
BLOCK = b"# GRUB Environment Block\nsaved_entry=a\nkernelopts=root=1 quiet \n".ljust(128, b"#")
SYSLINUX = b"LABEL one\r\n  APPEND initrd=/i root=1 quiet \r\nLABEL two\n  append root=1 quiet"


def test_a_file_that_lacks_what_is_deleted_still_gets_what_is_added():
    change = loader.change(("absent", "ro"), ("new",))
    assert change(("ro", "x")) == ("x", "new")


def test_a_loader_entry_gets_the_change_in_its_options():
    new = loader.in_entry(ENTRY, CHANGE)
    assert bls.arguments(bls.parse(new, "a.conf")) == ("root=UUID=1", "ro", "console=ttyS1,115200")
    assert loader.in_entry(ENTRY, NOTHING) == ENTRY


def test_a_variable_in_an_entry_stays_one():
    text = b"options $kernelopts quiet\nlinux /k\n"
    assert loader.options(text) == "$kernelopts quiet"
    new = loader.in_entry(text, loader.change(("quiet",), ("new",)))
    assert new == b"options $kernelopts new\nlinux /k\n"
    assert loader.options(b"") == ""


def test_a_line_and_a_value_of_a_script_change_in_their_place():
    text = b'set o="a b"\nmenuentry x {\n linux /k $o quiet\n}\n'
    start = text.index(b" $o")
    new = loader.in_line(text, (start, start + 9), loader.change(("quiet",), ("new",)))
    assert new == text.replace(b"quiet", b"new")
    assert loader.in_value(text, (6, 11), loader.change(("a",), ("c",))) == text.replace(
        b"a b", b"b c"
    )


def test_a_grubenv_keeps_its_length_and_its_other_variables():
    new = loader.in_environment(BLOCK, "kernelopts", loader.change(("quiet",), ("new=1", "x")))
    assert new.startswith(BLOCK[:39] + b"kernelopts=root=1 new=1 x\n##")
    assert len(new) == len(BLOCK)
    assert loader.in_environment(BLOCK, "none", CHANGE) == BLOCK
    assert loader.in_environment(BLOCK, "kernelopts", NOTHING) == BLOCK
    with pytest.raises(BakeryError, match="no room"):
        loader.in_environment(BLOCK, "kernelopts", loader.change((), ("x" * 128,)))


def test_a_line_of_syslinux_changes_and_its_initrd_stays():
    change = loader.change(("quiet",), ("new",))
    assert loader.in_syslinux(SYSLINUX, 2, change) == SYSLINUX.replace(b"quiet", b"new", 1)
    assert loader.in_syslinux(SYSLINUX, 4, change).endswith(b"append root=1 new")
    assert loader.in_syslinux(SYSLINUX, 1, change) == SYSLINUX
    assert loader.in_syslinux(SYSLINUX, 2, NOTHING) == SYSLINUX


def test_the_defaults_of_update_grub_get_what_differs():
    text = b'GRUB_CMDLINE_LINUX="console=tty0 a"\n'
    assert loader.sets_arguments(text)
    new = loader.in_defaults(["console=tty0"], ["console=ttyS1"], text)
    assert new == b'GRUB_CMDLINE_LINUX="a console=ttyS1"\n'
    assert not loader.sets_arguments(b'GRUB_CMDLINE_LINUX_DEFAULT="a"\n')


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (b"root=1 a\n", b"root=1 new\n"),
        (b"root=1\na\n", b"root=1 new\n"),
        (b"new a", b"new\n"),
        (b"", b"new\n"),
    ],
)
def test_the_arguments_of_kernel_install_are_words(text: bytes, after: bytes):
    assert loader.in_cmdline(["a"], ["new"], text) == after
    assert loader.in_cmdline([], [], text) == text


def test_comments_among_the_arguments_of_kernel_install_are_left_alone():
    with pytest.raises(BakeryError, match="comments"):
        loader.in_cmdline(["a"], [], b"# a\na\n")
