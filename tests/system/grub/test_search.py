"""`search`: which device a script goes on with."""

import pytest

from bakery.system import grub
from bakery.system.grub import Platform
from tests.system.grub.worlds import Disks

DEVICES = {
    "hd0,gpt1": {"/EFI/grub.cfg": b"", "/both": b"1"},
    "hd0,gpt2": {"/k": b"k", "/both": b"2", "/only": b""},
}


def device(search: str, platform: Platform = "efi") -> str:
    """What the variable `v` holds after a search, and `root` where it is changed."""
    script = f"set v=-\n{search}\nset end=$?\nmenuentry x {{ linux (hd0,gpt2)/k $v $root $end }}\n"
    files = {**DEVICES, "hd0,gpt1": {**DEVICES["hd0,gpt1"], "/EFI/grub.cfg": script.encode()}}
    found = {("fs-uuid", "12-34"): "hd0,gpt2", ("label", "BOOT"): "hd0,gpt2"}
    world = Disks(files, found, platform)  # type: ignore[arg-type]
    first = grub.run(world, {"root": "hd0,gpt1", "prefix": "(hd0,gpt1)/EFI"}).first
    assert first is not None
    assert first.linux is not None
    return " ".join(first.linux.args)


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("search --fs-uuid --set=v 12-34", "hd0,gpt2 hd0,gpt1 0"),
        ("search -u -s v 12-34", "hd0,gpt2 hd0,gpt1 0"),
        ("search --no-floppy --fs-uuid --set v 12-34", "hd0,gpt2 hd0,gpt1 0"),
        ("search --fs-uuid --set=root --hint-efi=hd0,gpt1 --hint hd1 12-34", "- hd0,gpt2 0"),
        ("search --fs-uuid --set -- 12-34", "- hd0,gpt2 0"),
        ("search --fs-uuid --set=12-34", "- hd0,gpt2 0"),
        ("search --label BOOT --set=v", "hd0,gpt2 hd0,gpt1 0"),
        ("search --label boot --set=v", "- hd0,gpt1 5"),
        ("search --file /only --set=v", "hd0,gpt2 hd0,gpt1 0"),
        ("search --file /both --set=v", "hd0,gpt1 hd0,gpt1 0"),
        ("search --file /both --set=v --hint=(hd0,gpt2)", "hd0,gpt2 hd0,gpt1 0"),
        ("search --file /both --set=v --hint-efi='hd0,gpt2'", "hd0,gpt2 hd0,gpt1 0"),
        ("search --file /both --set=v --hint-bios=hd0,gpt2", "hd0,gpt1 hd0,gpt1 0"),
        ("search --set=v --hint-new=hd0,gpt2 --file /both", "hd0,gpt1 hd0,gpt1 0"),
        ("search --file /none --set=v", "- hd0,gpt1 5"),
        ("search --fs-uuid 12-34", "- hd0,gpt1 0"),
        ("search --set=v 12-34", "- hd0,gpt1 17"),
        ("search --fs-uuid", "- hd0,gpt1 18"),
        ("search.fs_uuid 12-34 root hd0,gpt1", "- hd0,gpt2 0"),
        ("search.fs_label BOOT v", "hd0,gpt2 hd0,gpt1 0"),
        ("search.file /only v", "hd0,gpt2 hd0,gpt1 0"),
        ("search.file /only", "- hd0,gpt1 0"),
        ("search.file", "- hd0,gpt1 18"),
    ],
)
def test_a_search_sets_its_variable(search: str, expected: str) -> None:
    assert device(search) == expected


def test_hints_are_of_a_platform() -> None:
    search = "search --file /both --set=v --hint-bios=hd0,gpt2"
    assert device(search, "pc").startswith("hd0,gpt2")
