"""The devices in kernel arguments, found and replaced."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.system import boot_devices, kargs


@pytest.mark.parametrize(
    ("argument", "use", "device", "point", "makes"),
    [
        ("root=UUID=1", "root", "UUID=1", "", ""),
        ('root="LABEL=a b"', "root", "LABEL=a b", "", ""),
        ("resume=/dev/sda5", "resume", "/dev/sda5", "", ""),
        ("mount.usr=UUID=2", "mount", "UUID=2", "/usr", ""),
        ("systemd.mount-extra=UUID=2:/var/:ext4:rw", "mount", "UUID=2", "/var", ""),
        ("rd.systemd.mount-extra=/dev/sda2:/a", "mount", "/dev/sda2", "/a", ""),
        ("systemd.swap-extra=/dev/sda5:nofail", "swap", "/dev/sda5", "", ""),
        ("rd.lvm.lv=vg/root", "lvm", "vg/root", "", ""),
        ("rd.lvm.vg=vg", "lvm", "vg", "", ""),
        ("rd_LVM_LV=vg/root", "lvm", "vg/root", "", ""),
        ("rd.luks.uuid=luks-7", "unlock", "UUID=7", "", "luks-7"),
        ("luks.uuid=7", "unlock", "UUID=7", "", "luks-7"),
        ("rd.luks.name=7=data", "unlock", "UUID=7", "", "data"),
        ("cryptdevice=/dev/sda3:root:allow-discards", "unlock", "/dev/sda3", "", "root"),
        ("rd.md.uuid=3749f528:5d5a2d2b:f0ee4da9:b6a4c1d2", "array", "", "", ""),
    ],
)
def test_an_argument_names_its_device(argument, use, device, point, makes):
    (found,) = boot_devices.mentions(("quiet", argument))
    assert (found.use, found.point, found.makes) == (use, point, makes)
    assert found.device == (device or "UUID=3749f528-5d5a-2d2b-f0ee-4da9b6a4c1d2")
    assert (found.line, found.key) == (1, kargs.key(argument))


@pytest.mark.parametrize(
    "argument",
    [
        "quiet", "root=", "root", "root=gpt-auto", "resume=", "noresume", "boot=UUID=1", "rd.lvm=0",
        "systemd.mount-extra=UUID=1", "BOOT_IMAGE=/vmlinuz", "rootflags=subvol=@", "rd.luks=0",
    ],
)  # fmt: skip
def test_an_argument_that_names_none_is_no_mention(argument):
    assert boot_devices.mentions((argument,)) == ()


def test_options_of_a_mount_are_told():
    args = "mount.usr=LABEL=u mount.usrflags=subvol=@usr,ro systemd.mount-extra=/dev/a:/b:xfs:ro"
    found = {m.point: m.options for m in boot_devices.mentions(kargs.parse(args))}
    assert found == {"/usr": ("subvol=@usr", "ro"), "/b": ("ro",)}


def test_the_kernels_checksum_is_looked_for_where_boot_says_in_a_fips_system_alone():
    (found,) = boot_devices.mentions(("fips=1", "boot=UUID=1"))
    assert (found.use, found.device) == ("fips", "UUID=1")
    assert boot_devices.mentions(("fips=0", "boot=UUID=1")) == ()


def test_of_several_roots_the_last_counts_and_what_belongs_to_init_does_not():
    args = ("root=/dev/sda1", "resume=a", "root=/dev/sda2", "resume=b", "--", "root=mine")
    assert [(m.device, m.line) for m in boot_devices.mentions(args)] == [
        ("a", 1), ("/dev/sda2", 2), ("b", 3),
    ]  # fmt: skip
    assert boot_devices.changed(args, {2: "UUID=7"}) == (
        "resume=a", "root=UUID=7", "resume=b", "--", "root=mine",
    )  # fmt: skip


def test_what_goes_takes_along_what_belongs_to_it():
    args = ("resume=a", "resume_offset=1", "ro", "--", "resume_offset=2")
    assert boot_devices.changed(args, {0: None}) == ("ro", "--", "resume_offset=2")


def test_the_rest_of_an_argument_with_parts_stays():
    args = ("systemd.mount-extra=/dev/sda1:/a:ext4:rw", "cryptdevice=/dev/sda1:x", "root=a:b")
    assert boot_devices.changed(args, {0: "UUID=7", 1: "UUID=8", 2: "UUID=9"}) == (
        "systemd.mount-extra=UUID=7:/a:ext4:rw", "cryptdevice=UUID=8:x", "root=UUID=9",
    )  # fmt: skip


def test_a_device_that_is_no_argument_is_refused():
    with pytest.raises(BakeryError):
        boot_devices.changed(("root=x",), {0: "UUID=7\nboot"})


ARGUMENT = st.sampled_from(
    ["root=/dev/sda1", "resume=b", "rd.lvm.lv=a/b", "quiet", "--", "mount.usr=c", "resume_offset"]
)  # fmt: skip


@given(st.lists(ARGUMENT, max_size=9).map(tuple))
def test_whatever_the_arguments_are_a_renamed_device_is_read_back(args):
    found = boot_devices.mentions(args)
    same = boot_devices.changed(args, {})
    assert same == args
    after = boot_devices.changed(args, {m.line: f"UUID={m.line}" for m in found})
    assert [m.device for m in boot_devices.mentions(after)] == [f"UUID={m.line}" for m in found]
    none = boot_devices.changed(args, {m.line: None for m in found})
    assert [m.use for m in boot_devices.mentions(none) if m.use != "root"] == []
