"""What programs answer that have read an image, and what a guest prints: neither is believed."""

from pathlib import Path

from bakery.build.sbom import rpm
from bakery.disk.copy import clusters, copy
from bakery.disk.extents import Extent
from bakery.disk.formats import safety
from bakery.host.qmp import Monitor
from bakery.image.engines import cell, grubfs, guestfs_files, survey
from bakery.vm.console import Lines
from bakery.vm.prove.signs import Signs
from tests.fuzz.target import Target, said, text

SHORT = b"./ ../ lost+found/ etc/ a file vmlinuz initrd.img dev \n"
LONG = b"""DIR          20240101120000 ./
DIR          20240101120000 ../
DIR          20240101120000 lost+found/
DIR          20240101120000 etc/
1234         20240101120000 a file
81234        20240101120000 vmlinuz
"""
TRACE = b"""Filesystem type xfs
../grub-core/fs/xfs.c:380: Reading inode (128) - 8, 0
"""
BLKID = b"ID_FS_UUID=a\nID_FS_UUID_ENC=2f6e\\x20b\nID_FS_TYPE=ext4\nID_FS_LABEL_ENC=r\\xc3\\xb6t\n"
RPM = (
    b"bash\x1f(none)\x1f5.1.8\x1f6.el9\x1fx86_64\x1fGPLv3+\x1fFedora\x1fbash.src.rpm\x1f1690000000\x1f\x1e"
    b"gpg-pubkey\x1f(none)\x1fa\x1fb\x1f(none)\x1fpubkey\x1f(none)\x1f(none)\x1f0\x1f\x1e"
)
COPIED = b"sum 0 " + b"5a" * 32 + b"\ndone 1048576\nsum 1 " + b"5b" * 32 + b"\ndone 2097152\n"
MAPPED = b"""[{ "start": 0, "length": 65536, "depth": 0, "zero": false, "data": true, "offset": 0},
{ "start": 65536, "length": 983040, "depth": 0, "zero": true, "data": false}]"""
TALK = b"""{"QMP": {"version": {"qemu": {"major": 7}}, "capabilities": []}}
{"return": {}}
{"event": "JOB_STATUS_CHANGE", "data": {"id": "j", "status": "created"}, "timestamp": {}}
{"return": {}}
{"event": "JOB_STATUS_CHANGE", "data": {"id": "j", "status": "concluded"}, "timestamp": {}}
{"return": [{"id": "j", "status": "concluded"}]}
{"return": {}}
"""
CONSOLE = b"""\x1b[2J\x1b[01;01HSeaBIOS (version 1.16)\r\nBooting from Hard Disk...\r\n
[    1.0] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\r\n
dracut-initqueue[300]: Warning: /dev/vda1 does not exist\r\n
[\x1b[0;1;31mFAILED\x1b[0m] Failed to mount /boot.\r\n\x1b]0;title\x07
You are in emergency mode.\r\nhost\xc3\xa9 login: """


def targets(_work: Path) -> list[Target]:
    """All of them."""
    return [
        Target("listing of a directory", _listing, SHORT + b"\0" + LONG),
        Target("where a file lies", grubfs.extents, b"2048+8,2056[0-100],9000+1\n"),
        Target("trace of a reader", _trace, TRACE),
        Target(
            "complaint of a reader", lambda d: _complaint(text(d)), b"grub-fstest: '/x': not found"
        ),
        Target("blkid", lambda d: _FOUND.holding(0, d), BLKID),
        Target(
            "names of an appliance", lambda d: guestfs_files._names(d, "/"), b"etc\0boot\0a b\0"
        ),
        Target("answer of a cage", cell._told, b"17\x000"),
        Target("rpm's answer", lambda d: rpm._packages(d, "rpmdb"), RPM),
        Target(
            "report of a copy", lambda d: clusters._Listener(3 << 20, None, None).take(d), COPIED
        ),
        Target("qemu-img info", safety._told_size, b'{"virtual-size": 1048576, "format": "vdi"}'),
        Target("qemu-img map", copy._told_data, MAPPED),
        Target("QMP", _monitor, TALK),
        Target("console", _console, CONSOLE),
    ]


_FOUND = survey.Found("/dev/sda1", (Extent(0, 4096),))


def _listing(data: bytes) -> object:
    short, _, long = data.partition(b"\0")
    return grubfs.is_directory(short), grubfs.names(short, long), grubfs.sizes(long)


def _trace(data: bytes) -> object:
    return grubfs.is_known(data), grubfs.identity("xfs", data)


def _complaint(words: str) -> object:
    return grubfs.failure("/x", "/dev/sda1", words)


def _monitor(data: bytes) -> None:
    """A job that is run to its end, as for an overlay."""
    with said(data) as link:
        Monitor(link, answer_seconds=1).run_job("j", "blockdev-create", {"options": {}})


def _console(data: bytes) -> object:
    """In two pieces, as it comes."""
    lines, signs = Lines(), Signs()
    half = len(data) // 2
    endings = [signs.line(one) for piece in (data[:half], data[half:]) for one in lines.feed(piece)]
    return endings, signs.prompt(lines.partial), signs.cause
