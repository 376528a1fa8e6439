"""Units that mount: what they name, and that one taken out is still a unit."""

import configparser

import pytest

from bakery.host.errors import BakeryError
from bakery.system import mount_units


def named(text, name, *, required, more=()):
    found = mount_units.mention((text, *more), name, required=required)
    return found and found.mention


UNIT = b"""[Unit]
Description=What=nothing
# What=/dev/sda9
[Mount]
What = /dev/disk/by-uuid/2007-02
Where=/boot/
Type=ext4
Options=defaults,ro
[Install]
RequiredBy=local-fs.target
"""


def test_a_unit_names_its_device_and_its_place():
    found = named(UNIT, "boot.mount", required=True)
    assert found is not None
    assert (found.device, found.point, found.use) == ("/dev/disk/by-uuid/2007-02", "/boot", "mount")
    assert (found.line, found.optional) == (5, False)
    wanted = named(UNIT, "boot.mount", required=False)
    assert wanted is not None and wanted.optional
    nofail = named(UNIT.replace(b"ro\n", b"nofail\n"), "boot.mount", required=True)
    assert nofail is not None and nofail.optional
    root = named(UNIT.replace(b"/boot/", b"/"), "-.mount", required=True)
    assert root is not None and root.use == "root"
    swap = named(b"[Swap]\r\nWhat=/dev/sda5\r\n", "dev-sda5.swap", required=True)
    assert swap is not None
    assert (swap.device, swap.use, swap.point) == ("/dev/sda5", "swap", "")


@pytest.mark.parametrize(
    "text",
    [b"", b"[Mount]\nWhere=/a\n", b"[Swap]\nWhat=/dev/a\n", b"What=a\n", b"[Mount]\nWhat=a\nWhat="],
)  # fmt: skip
def test_a_unit_without_a_device_is_no_mention(text):
    assert named(text, "a.mount", required=True) is None


def test_a_unit_that_cannot_be_understood_is_an_error():
    with pytest.raises(BakeryError, match="goes on in another line"):
        named(b"[Mount]\nWhat=/dev/\\\nsda1\n", "a.mount", required=True)
    with pytest.raises(BakeryError, match="more than"):
        named(b"#" * (1 << 20) + b"\n", "a.mount", required=True)


def test_a_drop_in_says_what_its_unit_says_otherwise():
    more = (b"[Mount]\nOptions=subvol=@a\n", b"[Mount]\nWhat=/dev/b\n[Unit]\nWhat=/dev/c\n")
    found = mount_units.mention((UNIT, *more), "boot.mount", required=True)
    assert found is not None
    assert (found.text, found.mention.line, found.mention.line_bytes) == (2, 2, 11)
    assert (found.mention.device, found.mention.point) == ("/dev/b", "/boot")
    assert found.mention.options == ("subvol=@a",)
    assert mount_units.mention((UNIT, b"[Mount]\nWhat=\n"), "boot.mount", required=True) is None


def test_a_drop_in_of_a_unit_that_a_generator_makes_mounts_where_its_name_says():
    for point in ("/", "/home", "/srv/my data", "/a-b/.c", "/.hidden", "/srv/ä:b_c"):
        name = mount_units.name_of(point)
        assert name.count("/") == 0
        found = mount_units.mention((b"[Mount]\nWhat=/dev/a\n",), name, required=True)
        assert found is not None and found.mention.point == point
    assert mount_units.name_of("/") == "-.mount"
    assert mount_units.name_of("/a-b/c d/.e/") == r"a\x2db-c\x20d-.e.mount"
    assert mount_units.name_of("/.a") == r"\x2ea.mount"


def test_the_last_of_several_values_counts():
    text = b"[Mount]\nWhat=/dev/a\n[Install]\nWhat=/dev/c\n[Mount]\nWhat=/dev/b\n"
    found = named(text, "a.mount", required=True)
    assert found is not None
    assert (found.device, found.line) == ("/dev/b", 6)


def test_a_device_is_renamed_at_the_units_length():
    new = mount_units.renamed(UNIT, 5, "UUID=2f6e1f4a-93a5-4f0a-8d43-0d2f4d5c0a11")
    assert len(new) == len(UNIT)
    found = named(new, "boot.mount", required=True)
    assert found is not None
    assert (found.device, found.point) == ("UUID=2f6e1f4a-93a5-4f0a-8d43-0d2f4d5c0a11", "/boot")


@pytest.mark.parametrize("point", ["/boot", ""])
@pytest.mark.parametrize("length", [0, 8, 38, 39, 40, 57, 58, 59, 200])
def test_a_unit_that_is_taken_out_waits_for_no_device(point, length):
    text = b"[Mount]\n".ljust(length, b"#")
    new = mount_units.without_device(text, point)
    assert len(new) == max(len(text), mount_units.quiet_bytes(point))
    unit = configparser.ConfigParser()
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(new.decode())
    assert unit["Unit"]["ConditionPathExists"] == "!/"
    if point:
        assert dict(unit["Mount"]) == {"What": "/", "Where": point}
    else:
        assert "What" not in unit["Swap"]


def test_the_kernels_own_filesystems_are_known_by_their_units():
    assert mount_units.is_of_kernel("sys-kernel-debug.mount")
    assert not mount_units.is_of_kernel("dev-sda5.swap")
    assert not mount_units.is_of_kernel("boot.mount")
