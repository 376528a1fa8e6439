"""What programs answer that have read an image, and what a guest prints: neither is believed."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from bakery.build.sbom import rpm
from bakery.disk.copy import clusters, copy
from bakery.disk.extents import Extent
from bakery.disk.formats import safety
from bakery.disk.volumes.volumes import Volume
from bakery.host.qmp import Monitor
from bakery.host.run import CommandFailed
from bakery.image.engines import (
    cell,
    ext4_scrub,
    grubfs,
    guestfish,
    guestfs_files,
    guestfs_mapped,
    guestfs_survey,
    survey,
    view,
)
from bakery.image.engines.base import Taking
from bakery.image.engines.cell import Command, Output
from bakery.vm.board import X86_64
from bakery.vm.console import Lines
from bakery.vm.prove import guest
from bakery.vm.prove.shell import Answer
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
UNREADABLE = b"""qemu-img: Could not open 'json:{"driver":"qcow2"}': Image is not in qcow2 format
"""
REFUSED = b"*stdin*:3: libguestfs: error: cat_stub: /x\x01: No such file or directory\n"
SUBVOLUMES = b"""[0] = {
  btrfssubvolume_id: 256
  btrfssubvolume_top_level_id: 5
  btrfssubvolume_path: @/a
}
\x00256"""
E2FSPROGS = b"\0".join(
    (
        b"Filesystem features: has_journal extent\nBlock size:   4096\nFilesystem state: clean\n",
        b"Group 0: (Blocks 0-255)\n  Free blocks: 30-40, 42\n",
        b"/2/040755/0/0/.//\n/13/040755/0/0/folder//\n/12/100644/0/0/file/5/\n",
        b"/13/040755/0/0/.//\n/14/100644/0/0/inside/5/\n",
        b"Inode: 14   Type: regular    Mode:  0644   Flags: 0x80000\nLinks: 1   Blockcount: 8\n",
        b" 0/ 0   1/  1     0 -     1    20 -    21      2\n",
    )
)
STATUS = b"".join(
    b"st_%s: %d\n" % (name, value)
    for name, value in (
        *((b"dev", 2049), (b"ino", 12), (b"mode", 0o100644), (b"nlink", 1), (b"uid", 0)),
        *((b"gid", 0), (b"size", 7), (b"atime_sec", -1), (b"atime_nsec", 5), (b"mtime_sec", 9)),
        (b"mtime_nsec", 0),
    )
)
NODES = b"""{"return": {}}
{"return": [{"node-name": "source", "ro": true, "image": {"filename": "a", "virtual-size": 1024}}]}
"""
CONSOLE = b"""\x1b[2J\x1b[01;01HSeaBIOS (version 1.16)\r\nBooting from Hard Disk...\r\n
[    1.0] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\r\n
dracut-initqueue[300]: Warning: /dev/vda1 does not exist\r\n
[\x1b[0;1;31mFAILED\x1b[0m] Failed to mount /boot.\r\n\x1b]0;title\x07
You are in emergency mode.\r\nhost\xc3\xa9 login: """


ASKING = b"""[   OK] Reached target Basic System.\r\n
[FAILED] Failed to mount mount - /boot.\r\nTimed out waiting for device /dev/vda1.\r\n
Which one is it? """


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
        Target(
            "qemu-img's progress",
            _percents,
            b"    (12.34/100%)\r    (100.00/100%)\r",
        ),
        Target("qemu-img's complaint", _unreadable, UNREADABLE),
        Target("guestfish's complaint", _refused, REFUSED),
        Target("volume of an appliance", _asked, b"\nTYPE=btrfs\nEXIT=0\0" + SUBVOLUMES),
        Target(
            "devices of an appliance", _devices, b"/dev/md0\n\0/dev/v/root\n\x001024\n\x002048\n"
        ),
        Target("answers of e2fsprogs", _scrubbed, E2FSPROGS),
        Target("status of an appliance", _mode, STATUS),
        Target("nodes of qemu", _size, NODES),
        Target("answer of a guest", _exit_code, b"mark-begin\nuid=0(root)\nmark-end-0\n"),
        Target("arguments of a guest", _watched, b"root=UUID=1 ro console=tty0 quiet"),
        Target("qemu-img map", copy._told_data, MAPPED),
        Target("QMP", _monitor, TALK),
        Target("console", _console, CONSOLE),
        Target("console that asks", _console, ASKING),
    ]


_FOUND = survey.Found("/dev/sda1", (Extent(0, 4096),))


def _listing(data: bytes) -> object:
    short, _, long = data.partition(b"\0")
    return grubfs.is_directory(short), grubfs.names(short, long), grubfs.sizes(long)


def _trace(data: bytes) -> object:
    return grubfs.is_known(data), grubfs.identity("xfs", data)


def _complaint(words: str) -> object:
    return grubfs.is_behind(words), grubfs.failure("/x", "/dev/sda1", words)


def _percents(data: bytes) -> None:
    take = copy.scaled(lambda _done, _total: None, 1, 10, 11)
    assert take
    take(data)


def _unreadable(data: bytes) -> object:
    return safety._unreadable_by_qemu(CommandFailed("qemu-img", "exited with 1", text(data)))


def _refused(data: bytes) -> str:
    return guestfish.quoted(guestfish.reason(data))


class _Appliance:
    """It answers each question by its next words."""

    def __init__(self, data: bytes) -> None:
        self._answers = data.decode("utf-8", "surrogateescape").split("\0")

    def ask(self, command: str, *_words: str) -> str:
        answers = command not in ("mount-options", "umount-all")
        return self._answers.pop(0) if self._answers and answers else ""


def _asked(data: bytes) -> object:
    """Of a volume: what blkid tells, the subvolumes, and the default one."""
    fish, place = _Appliance(data), Extent(0, 4096)
    return guestfs_survey._asked(fish, survey.Found("/dev/sda1", (place,)))  # type: ignore[arg-type]


def _devices(data: bytes) -> object:
    """What else the kernel of an appliance shows: arrays, volumes, and their sizes."""
    return list(guestfs_mapped.mapped(_Appliance(data), (), ()))  # type: ignore[arg-type]


class _E2fsprogs:
    """A view whose programs answer by pieces of `data`, whatever they are asked."""

    size_bytes = 1 << 20

    def __init__(self, data: bytes) -> None:
        self.cell = self
        self._pieces = (data.split(b"\0") + [b""] * 6)[:6]
        self._reader = -1

    def make(self) -> tuple[str, int]:
        self.close()
        self._reader, writer = os.pipe()
        return "lines", writer

    def close(self) -> None:
        if self._reader >= 0:
            os.close(self._reader)
        self._reader = -1

    def run(self, command: Command) -> Output:
        return Output(0, self._pieces[self._piece(command.argv)], b"")

    def _piece(self, words: Sequence[str]) -> int:
        if words[0] != "debugfs":
            return 0 if "-h" in words else 1
        with os.fdopen(self._reader, "rb") as lines:
            self._reader, asked = -1, lines.read()
        if asked.startswith(b"ls"):
            return 2 if asked == b'ls -p "/"\n' else 3
        return 4 if asked.startswith(b"stat") else 5


def _scrubbed(data: bytes) -> object:
    """What is where, and what goes, by what the programs tell."""
    volume = Volume("/dev/sda1", 1 << 20, (Extent(0, 1 << 20),), "ext4")
    takings = [Taking(volume, "/folder", "remove"), Taking(volume, "/file", "empty")]
    with contextlib.closing(_E2fsprogs(data)) as programs:
        there = ext4_scrub._Filesystem(programs, "disk", volume)  # type: ignore[arg-type]
        there.refuse_unknown()
        taken = there.take(takings)
        return taken, there.blanks(Taking(volume, "/file", "blank")), there.journal(), there.free()


def _mode(data: bytes) -> int:
    return guestfs_files.regular(_Appliance(data), "/a").mode  # type: ignore[arg-type]


def _size(data: bytes) -> int:
    with said(b'{"QMP": {}}\n' + data) as link:
        return view._size(Monitor(link, answer_seconds=1).call("query-named-block-nodes"))


def _exit_code(data: bytes) -> object:
    """What a guest prints behind the mark of a command that was typed there."""
    answer = Answer("mark", 100)
    for line in text(data).splitlines():
        answer.line(line)
    return answer.command("id")


def _watched(data: bytes) -> object:
    return guest._with_serial(tuple(text(data).split(" ")), X86_64, lambda _note: None)


def _monitor(data: bytes) -> None:
    """A job that is run to its end, as for an overlay."""
    with said(data) as link:
        Monitor(link, answer_seconds=1).run_job("j", "blockdev-create", {"options": {}})


def _console(data: bytes) -> object:
    """In two pieces, as it comes."""
    lines, signs = Lines(), Signs(silence_seconds=0.0)
    half = len(data) // 2
    endings = [signs.line(one) for piece in (data[:half], data[half:]) for one in lines.feed(piece)]
    return endings, signs.prompt(lines.partial), signs.cause
