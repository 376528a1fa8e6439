import pytest

from bakery.errors import BakeryError
from bakery.system import bls, loader

GRUB_CFG = b"""menuentry 'Debian' {
	linux	/boot/vmlinuz-6.1 root=UUID=1 ro console=tty0 console=ttyS0
	initrd	/boot/initrd-6.1
}
menuentry 'Debian (recovery mode)' {
	linux	/boot/vmlinuz-6.1 root=UUID=1 ro single console=tty0
}
menuentry 'Debian, old' {
	linux	/boot/vmlinuz-5.10 root=UUID=1 ro console=tty0
}
"""
OLD = ("root=UUID=1", "ro", "console=tty0", "console=ttyS0")
NEW = ("root=UUID=1", "ro", "console=ttyS1,115200")
ENTRY = b"title x\noptions root=UUID=1 ro console=tty0 console=ttyS0\nlinux /vmlinuz-6.1\n"


def test_every_grub_line_of_the_kernel_gets_the_change_and_keeps_its_own():
    new = loader.with_args("/grub/grub.cfg", GRUB_CFG, "/boot/vmlinuz-6.1", OLD, NEW)
    assert b"root=UUID=1 ro console=ttyS1,115200\n" in new
    assert b"root=UUID=1 ro single console=ttyS1,115200\n" in new
    assert b"vmlinuz-5.10 root=UUID=1 ro console=tty0\n" in new


def test_a_second_time_changes_nothing():
    for path, text in (("/grub/grub.cfg", GRUB_CFG), ("/x.conf", ENTRY)):
        once = loader.with_args(path, text, "/vmlinuz-6.1", OLD, NEW)
        assert once != text
        assert loader.with_args(path, once, "/vmlinuz-6.1", OLD, NEW) == once


def test_no_change_asked_for_changes_nothing():
    for path, text in (("/grub/grub.cfg", GRUB_CFG), ("/x.conf", ENTRY)):
        assert loader.with_args(path, text, "/vmlinuz-6.1", OLD, OLD) == text


def test_a_loader_entry_gets_the_change_in_its_options():
    new = loader.with_args("/loader/entries/a.conf", ENTRY, "/vmlinuz-6.1", OLD, NEW)
    assert bls.arguments(bls.parse(new, "a.conf")) == NEW


def test_a_variable_stays_where_it_can():
    text = b"options $kernelopts quiet\nlinux /k\n"
    old = ("root=UUID=1", "ro", "quiet")
    assert loader.with_args("/a.conf", text, "/k", old, (*old, "new")) == (
        b"options $kernelopts quiet new\nlinux /k\n"
    )
    assert loader.with_args("/a.conf", text, "/k", old, ("root=UUID=1", "ro")) == (
        b"options $kernelopts\nlinux /k\n"
    )
    assert loader.with_args("/a.conf", text, "/k", old, ("root=UUID=1", "quiet")) == (
        b"options root=UUID=1 quiet\nlinux /k\n"
    )


def test_the_defaults_of_update_grub_get_it_too():
    text = b'GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0"\n'
    new = loader.with_args("/etc/default/grub", text, "/vmlinuz-6.1", OLD, NEW)
    assert new == b'GRUB_CMDLINE_LINUX="console=ttyS1,115200"\n'


def test_the_files_lie_under_the_prefix():
    assert "/boot/grub/grub.cfg" in loader.config_files("/boot")
    assert "/grub2/grub.cfg" in loader.config_files("")


def test_a_file_that_does_not_add_up_is_refused():
    with pytest.raises(BakeryError):
        loader.with_args("/grub/grub.cfg", b"menuentry {", "/k", OLD, NEW)
