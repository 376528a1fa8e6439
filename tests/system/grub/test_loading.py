"""What `boot` would start: kernels, initrds, other programs, and what is not there."""

import pytest

from bakery.system.grub import Entry, File
from tests.system.grub.worlds import run

FILES = ("/boot/k", "/boot/i", "/EFI/Boot/x.efi")


def entry(body: str, script: str = "") -> Entry:
    first = run(f"{script}\nmenuentry x {{ {body}\n}}\n", FILES).first
    assert first is not None
    return first


@pytest.mark.parametrize("name", ["linux", "linux16", "linuxefi"])
def test_a_kernel_with_its_arguments_and_initrds(name: str) -> None:
    found = entry(f"{name} /boot/k root=x a='b c' \"\" ro; initrd /i (hd0,gpt2)//boot/./i")
    assert found.linux is not None
    assert found.linux.file == File("hd0,gpt2", "/boot/k")
    assert found.linux.args == ("root=x", 'a="b c"', "ro")
    assert found.initrds == (File("hd0,gpt2", "/i"), File("hd0,gpt2", "/boot/i"))
    assert found.problem == ""


def test_the_last_kernel_and_its_last_initrds_count() -> None:
    found = entry("linux /k a; initrd /i; linux /boot/k b; initrd /i; initrd /boot/i")
    assert found.linux is not None
    assert (found.linux.file.path, found.linux.args) == ("/boot/k", ("b",))
    assert found.initrds == (File("hd0,gpt2", "/boot/i"),)
    assert entry("linux /k a; initrd /i; linux /k").initrds == ()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("linux /none a", "its kernel, '/none', is not there"),
        ("linux /boot", "its kernel, '/boot', is not there"),
        ("linux k", "its kernel, 'k', is not there"),
        ("linux (hd9)/k", "its kernel, '\\(hd9\\)/k', is not there"),
        ("linux", "starts nothing"),
        ("initrd /i", "starts nothing"),
        ("true", "starts nothing"),
        ("linux /k; linux /none", "its kernel, '/none'"),
        ("multiboot2 /k", "started by multiboot2"),
        ("xen_hypervisor /k; xen_module /i", "started by xen_hypervisor"),
        ("fwsetup", "leaves GRUB, by fwsetup"),
        ("linux /k; exit", "leaves GRUB, by exit"),
        ("probe -u $root", "probe"),
        ("chainloader /none.efi", "its program, '/none.efi', is not there"),
    ],
)
def test_what_starts_no_linux_says_why(body: str, reason: str) -> None:
    found = entry(body)
    assert (found.linux, found.chainloader) == (None, None)
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(found.problem)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("linux /k a; initrd /none", "its initrd, '/none', is not there"),
        ("linux /k a; initrd /i /none", "its initrd, '/none', is not there"),
        ("linux /k a; initrd newc:x:/i", "packs 'newc:x:/i'"),
        ("linux /k 'ü'; initrd /i", "printable ASCII"),
    ],
)
def test_a_linux_that_lacks_something_is_told_with_what(body: str, reason: str) -> None:
    found = entry(body)
    assert found.linux is not None
    assert reason in found.problem


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("chainloader /EFI/Boot/x.efi", File("hd0,gpt2", "/EFI/Boot/x.efi")),
        ("chainloader --force +1", File("hd0,gpt2", "+1")),
        ("set root=hd1; chainloader +1", File("hd1", "+1")),
        ("chainloader (hd0,msdos1)+1", File("hd0,msdos1", "+1")),
        ("linux /k; chainloader +1", File("hd0,gpt2", "+1")),
    ],
)
def test_another_loader_is_told(body: str, expected: File) -> None:
    found = entry(body)
    assert (found.chainloader, found.linux) == (expected, None)


def test_arguments_are_handed_on_as_grub_does() -> None:
    found = entry("linux /k a\\'b \"c d=e\" 'f\\g'")
    assert found.linux is not None
    assert found.linux.args == ("a\\'b", '"c d=e"', "f\\\\g")
    assert entry("linux /k 'a\"b'").problem


def test_what_was_loaded_before_the_menu_starts_where_an_entry_loads_nothing() -> None:
    found = entry("true", "linux /k before")
    assert found.linux is not None
    assert found.linux.args == ("before",)
