"""LVM's devices file, and the line of lvm.conf that turns it off; lvm itself reads the result."""

import subprocess

import pytest

from bakery.host.errors import BakeryError
from bakery.system import lvm_devices

CONFIG = b"""config {
\t# use_devicesfile = 1
}
devices {
\tdir = "/dev"
\t# Configuration option devices/use_devicesfile.
\t# use_devicesfile = 1
}
activation {
\tmonitoring = 0
}
"""


def test_a_file_that_names_a_disk_binds_and_an_empty_one_has_nobody_to_bind():
    assert lvm_devices.binds(b"# a\nVERSION=1.1.1\nIDTYPE=sys_wwid IDNAME=naa.6 PVID=x\n")
    assert not lvm_devices.binds(b"# IDTYPE=sys_wwid\nVERSION=1.1.1\n")


def test_the_switch_is_the_last_of_its_section():
    assert lvm_devices.switch_line(CONFIG) == 7
    said = CONFIG.replace(b"}\nactivation", b"use_devicesfile=1\n}\nactivation")
    assert lvm_devices.switch_line(said) == 8
    for other in (b"", CONFIG[:30], CONFIG.replace(b"devices {", b"global {")):
        assert lvm_devices.switch_line(other) == 0
    with pytest.raises(BakeryError, match=r"lvm\.conf holds"):
        lvm_devices.switch_line(b"#" * (1 << 21))


def test_lvm_reads_that_it_is_off(tmp_path):
    new = lvm_devices.switched_off(CONFIG, 7)
    assert len(new) == len(CONFIG)
    (tmp_path / "lvm.conf").write_bytes(new.replace(b"config {\n\t# use_devicesfile = 1\n}\n", b""))
    told = subprocess.run(
        ["/usr/sbin/lvmconfig", "devices/use_devicesfile"],
        env={"LVM_SYSTEM_DIR": str(tmp_path), "PATH": "/usr/sbin:/usr/bin"},
        capture_output=True,
        check=True,
    )
    assert told.stdout.strip() == b"use_devicesfile=0"
