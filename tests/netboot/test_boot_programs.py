import pytest

from bakery.host.errors import BakeryError
from bakery.netboot.boot_config import GRUB_MASTER_NAME
from bakery.netboot.boot_programs import Chain
from bakery.netboot.tree import Tree

MAGIC = {"undionly.kpxe": b"", "snponly.efi": b"MZ", "grubnetx64.efi": b"MZ", "pxelinux.0": b""}


@pytest.mark.parametrize(
    ("chain", "names"),
    [
        (Chain(), ["snponly.efi", "undionly.kpxe"]),
        (
            Chain(bios="pxelinux", uefi="grub"),
            [
                *("chain.c32", GRUB_MASTER_NAME, "grubnetx64.efi", "ldlinux.c32"),
                *("libcom32.c32", "libutil.c32", "pxelinux.0"),
            ],
        ),
    ],
)
def test_each_program_that_dhcp_names_is_served(chain, names):
    tree = Tree()
    chain.put(tree)
    assert tree.names() == names
    for name in names:
        opened = tree.open(name)
        assert opened
        with opened.file as file:
            assert file.read().startswith(MAGIC.get(name, b"")) and opened.size_bytes
    files = chain.files("http://a/b.ipxe")
    assert {files.bios, files.uefi} <= set(names)


def test_a_script_is_told_only_to_firmware_that_is_to_run_one():
    files = Chain(bios="pxelinux").files("http://a/b.ipxe")
    assert (files.bios_ipxe, files.uefi_ipxe) == ("", "http://a/b.ipxe")
    files = Chain(uefi="grub").files("http://a/b.ipxe")
    assert (files.bios_ipxe, files.uefi_ipxe) == ("http://a/b.ipxe", "")


@pytest.mark.parametrize(
    ("chain", "program"), [("ipxe", "undionly.kpxe"), ("pxelinux", "pxelinux.0")]
)
def test_a_program_that_is_missing_is_named_with_its_package(chain, program, tmp_path):
    with pytest.raises(BakeryError, match=rf"{program} is not on this machine") as caught:
        Chain(bios=chain, root=tmp_path).put(Tree())
    assert caught.value.hint == f"sudo apt-get install {'ipxe' if chain == 'ipxe' else chain}"


def test_a_program_is_found_below_another_root(tmp_path):
    for place in ("usr/lib/ipxe/undionly.kpxe", "usr/share/ipxe/ipxe-snponly-x86_64.efi"):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_text(place)
    Chain(root=tmp_path).put(tree := Tree())
    found = tree.open("snponly.efi")
    assert found and found.file.read() == b"usr/share/ipxe/ipxe-snponly-x86_64.efi"
