from pathlib import Path

from bakery.samples.filesystems import Filesystem
from bakery.samples.plain import kernel_args, menu

ROOT = Filesystem(Path("root.fs"), "ext4", 1 << 30, "11111111-2222-3333-4444-555555555555")


def test_the_first_menu_entry_boots_with_the_arguments_the_manifest_names():
    lines = [line.split() for line in menu("6.1.0-1-amd64", ROOT).splitlines()]
    linux = next(words for words in lines if words[:1] == ["linux"])
    assert linux[1] == "/boot/vmlinuz-6.1.0-1-amd64"
    assert tuple(linux[2:]) == kernel_args(ROOT)


def test_the_menu_is_shaped_like_update_grubs():
    text = menu("6.1.0-1-amd64", ROOT)
    assert "### BEGIN /etc/grub.d/10_linux ###" in text
    assert "\tinitrd\t/boot/initrd.img-6.1.0-1-amd64\n" in text
    assert text.count("{") == text.count("}")
    assert "submenu 'Advanced options" in text
