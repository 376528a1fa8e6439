"""LVM's devices file, which binds a system to the disks it was installed on, and its switch.

lvmdevices(8): where `/etc/lvm/devices/system.devices` is, LVM passes over every disk that is not in
it, by the disk's own number; an empty one hides all. In lvm.conf(5) `devices/use_devicesfile` turns
that off.
"""

import re

from bakery.host.errors import BakeryError
from bakery.system import lines

CONFIG_LIMIT_BYTES = 1 << 20
_ENTRY = re.compile(rb"^IDTYPE=", re.MULTILINE)
_SECTION = re.compile(rb"[ \t]*([a-z_]+)[ \t]*(?:\{|/)")
_SWITCH = re.compile(rb"[ \t]*#?[ \t]*use_devicesfile[ \t]*=[ \t]*[01][ \t]*")
_OFF = b"\tuse_devicesfile=0"


def binds(text: bytes) -> bool:
    """Whether a devices file names any disk."""
    return _ENTRY.search(text) is not None


def switch_line(config: bytes) -> int:
    """The line of lvm.conf, from 1, that the switch can stand in; 0 where there is none.

    It is there, or as a comment: lvm.conf comes with every setting in it. BakeryError where the
    file is longer than `CONFIG_LIMIT_BYTES`.
    """
    if len(config) > CONFIG_LIMIT_BYTES:
        raise BakeryError(f"lvm.conf holds {len(config)} bytes, more than {CONFIG_LIMIT_BYTES}")
    section, found = b"", 0
    for number, row in enumerate(config.split(b"\n"), 1):
        if heading := _SECTION.match(row):
            section = heading[1]
        if section == b"devices" and _SWITCH.fullmatch(row):
            found = number
    return found


def switched_off(config: bytes, line: int) -> bytes:
    """lvm.conf with the devices file out of use, at its length where that can be."""
    return lines.changed(config, {line: _OFF})
