import pytest

from bakery.errors import BakeryError
from bakery.serve import boot_programs
from bakery.serve.boot_programs import Chain
from bakery.serve.bootconfig import GRUB_MASTER_NAME
from bakery.serve.tree import Tree

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


def test_a_program_that_is_missing_is_named_with_its_package(monkeypatch, tmp_path):
    for program in (boot_programs.UNDIONLY, boot_programs.PXELINUX):
        missing = boot_programs._Program(program.name, program.files, (str(tmp_path),), "pkg")
        monkeypatch.setattr(boot_programs, "UNDIONLY", missing)
        with pytest.raises(BakeryError, match=r"is not on this machine") as caught:
            Chain().put(Tree())
        assert caught.value.hint == "sudo apt-get install pkg"
