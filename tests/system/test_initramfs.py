"""What the settings of an initramfs name."""

import pytest

from bakery.host.errors import BakeryError
from bakery.system import initramfs


@pytest.mark.parametrize(
    ("row", "device"),
    [
        ("RESUME=UUID=1-2", "UUID=1-2"),
        ('RESUME="/dev/mapper/vg-swap" # by the installer', "/dev/mapper/vg-swap"),
        (" export RESUME='LABEL=my swap'", "LABEL=my swap"),
        ("ROOT=/dev/sda1 # x", "/dev/sda1"),
        ("RESUME=none", None),
        ("RESUME=auto", None),
        ("RESUME=", None),
        ("ROOT=probe", None),
        ("#RESUME=UUID=1", None),
        ("NORESUME=UUID=1", None),
    ],
)
def test_initramfs_tools_keeps_where_to_resume_from(row, device):
    found = initramfs.tools_mentions(f"MODULES=most\n{row}\n".encode())
    assert [(m.device, m.line, m.use) for m in found] == (
        [(device, 2, "initramfs")] if device else []
    )


def test_dracut_keeps_arguments_and_devices():
    text = (
        b'hostonly="yes"\n'
        b'kernel_cmdline+=" rd.luks.uuid=luks-5a root=LABEL=r quiet resume=/dev/a "\n'
        b"add_device+=' /dev/disk/by-uuid/1 /dev/b '\n"
        b"#kernel_cmdline=resume=/dev/c\nadd_drivers+=x\n"
    )
    assert [(m.device, m.line) for m in initramfs.dracut_mentions(text)] == [
        ("UUID=5a", 2),
        ("LABEL=r", 2),
        ("/dev/a", 2),
        ("/dev/disk/by-uuid/1", 3),
        ("/dev/b", 3),
    ]
    assert initramfs.dracut_mentions(b'kernel_cmdline="root=/dev/a') != ()


@pytest.mark.parametrize("read", [initramfs.tools_mentions, initramfs.dracut_mentions])
def test_a_file_out_of_all_proportion_is_refused(read):
    with pytest.raises(BakeryError, match="the settings of an initramfs holds"):
        read(b"\n" * 20_000)
