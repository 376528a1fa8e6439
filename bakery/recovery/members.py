"""Whether a tar is one that can be restored: read as it streams by, its contents skipped.

Only what bakery writes passes, so that no two readers of tars can differ about what it says: POSIX
pax format, regular files, directories, symbolic links, and hard links to files that came before
(https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html#tag_20_92_13). A checked tar
names each path once, all below its root, and none through a link or a file.
"""

import tarfile
from collections.abc import Generator
from typing import NamedTuple

from bakery.host.errors import BakeryError
from bakery.recovery import records
from bakery.recovery.records import NOT_OURS

BLOCK = tarfile.BLOCKSIZE
ZEROS = bytes(BLOCK)
MAGIC = b"ustar\x0000"
END_BLOCKS = range(2, 2 + tarfile.RECORDSIZE // BLOCK)
"""How many blocks of zeros may end a tar: two, and what fills the last record."""


class Room(NamedTuple):
    """Paths, and those of the folders they are in, are kept in memory: how many, of what length."""

    paths: int = 1_000_000
    names_bytes: int = 64 << 20


ROOM = Room()

PATH_LIMIT_BYTES = 4095  # PATH_MAX and NAME_MAX of Linux
NAME_LIMIT_BYTES = 255
ID_LIMIT = (1 << 32) - 2  # the last one means "none" to chown(2)
MODE_LIMIT = 0o7777

FILE, HARD_LINK, SYMLINK, FOLDER, EXTENDED = b"0", b"1", b"2", b"5", b"x"
KINDS = {
    b"\0": "of the oldest kind of tar",
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a FIFO",
    b"7": "a contiguous file",
    b"g": "a global header",
    b"L": "a long name as GNU tar writes it",
    b"K": "a long link as GNU tar writes it",
    b"S": "a sparse file as GNU tar writes it",
}


class Piece(NamedTuple):
    """What the walk over a tar wants next: so many bytes, to look at or to skip."""

    size_bytes: int
    skip: bool = False


class Members:
    """Checks a tar that is fed to it piece by piece, in memory bound by `room`."""

    def __init__(self, room: Room = ROOM) -> None:
        self._walk = _walk(room)
        self._held = bytearray()
        self._wanted = next(self._walk)
        self._to_skip = 0

    def feed(self, content: bytes) -> None:
        """Take more of the tar; BakeryError as soon as something in it is wrong."""
        at = 0
        while at < len(content):
            if self._to_skip:
                step = min(self._to_skip, len(content) - at)
                self._to_skip -= step
            else:
                step = min(self._wanted.size_bytes - len(self._held), len(content) - at)
                self._held += content[at : at + step]
            at += step
            self._advance()

    def finish(self) -> None:
        """Nothing more comes: BakeryError unless the tar has come to its end."""
        if self._to_skip or self._held:
            raise BakeryError("its tar is cut short", NOT_OURS)
        try:
            self._walk.send(b"")
        except StopIteration:
            return

    def _advance(self) -> None:
        while not self._to_skip and len(self._held) == self._wanted.size_bytes:
            self._wanted = self._walk.send(bytes(self._held))
            self._held.clear()
            if self._wanted.skip:
                self._to_skip = self._wanted.size_bytes
                self._wanted = next(self._walk)


class Member(NamedTuple):
    """A member's header, extended header included; names as bytes, a folder's without its slash."""

    kind: bytes
    path: bytes
    target: bytes
    size_bytes: int


def _walk(room: Room) -> Generator[Piece, bytes, None]:
    """Ask for the blocks of a tar in turn; an empty answer is its end."""
    tree = _Tree(room)
    while (block := (yield Piece(BLOCK))) != ZEROS:
        if not block:
            raise BakeryError("its tar does not end as tars do", NOT_OURS)
        extra: dict[bytes, bytes] = {}
        if block[156:157] == EXTENDED:
            size = _header(block, {}).size_bytes
            if not 0 < size <= records.LIMIT_BYTES:
                raise BakeryError(f"an extended header in its tar takes {size} bytes", NOT_OURS)
            content = yield Piece(_blocks(size))
            if any(content[size:]):  # tarfile would read records there
                raise BakeryError("an extended header in its tar is larger than it says", NOT_OURS)
            extra = records.parse(content[:size])
            block = yield Piece(BLOCK)
            if block[156:157] == EXTENDED:
                raise BakeryError("two extended headers in its tar follow each other", NOT_OURS)
        member = _header(block, extra)
        tree.add(member)
        if member.size_bytes:
            yield Piece(_blocks(member.size_bytes), skip=True)
    zeros = 1
    while (block := (yield Piece(BLOCK))) == ZEROS and zeros < END_BLOCKS.stop:
        zeros += 1
    if block or zeros not in END_BLOCKS:
        raise BakeryError("its tar continues after its end, or has no end", NOT_OURS)


def _blocks(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _header(block: bytes, extra: dict[bytes, bytes]) -> Member:
    """One header; BakeryError for what is none, and for numbers that make no sense."""
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError):
        raise BakeryError("a header in its tar is damaged", NOT_OURS) from None
    path = extra.get(b"path", info.name.encode("utf-8", "surrogateescape"))
    target = extra.get(b"linkpath", info.linkname.encode("utf-8", "surrogateescape"))
    kind = block[156:157]
    if block[257:265] != MAGIC:
        raise _refused(path, "is not in POSIX format")
    if kind not in (FILE, HARD_LINK, SYMLINK, FOLDER, EXTENDED):
        raise _refused(path, f"is {KINDS.get(kind, f'of the unknown kind {kind!r}')}")
    size = int(extra.get(b"size", info.size))
    owners = [int(extra.get(b"uid", info.uid)), int(extra.get(b"gid", info.gid))]
    if size < 0 or not all(0 <= owner <= ID_LIMIT for owner in owners):
        raise _refused(path, "has an impossible size or owner")
    if not 0 <= info.mode <= MODE_LIMIT:
        raise _refused(path, f"has an impossible mode {info.mode:o}")
    if size and kind not in (FILE, EXTENDED):
        raise _refused(path, "has contents but is not a file")
    return Member(kind, path.removesuffix(b"/") if kind == FOLDER else path, target, size)


class _Tree:
    """The paths so far, and what each is; a folder may be known by what is in it alone."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._kinds: dict[bytes, bytes | None] = {}
        self._names_bytes = 0

    def add(self, member: Member) -> None:
        """Take a member in; BakeryError where it cannot be restored beside the others."""
        path = member.path
        _check_path(path)
        if path in self._kinds and not (self._kinds[path] is None and member.kind == FOLDER):
            raise _refused(path, "is there twice")
        self._check_parents(path)
        self._check_link(member)
        self._know(path, member.kind)

    def _know(self, path: bytes, kind: bytes | None) -> None:
        if path not in self._kinds:
            self._names_bytes += len(path)
            if len(self._kinds) == self._room.paths:
                raise BakeryError(f"its tar has more than {self._room.paths} paths", NOT_OURS)
            if self._names_bytes > self._room.names_bytes:
                mib = self._room.names_bytes >> 20
                raise BakeryError(f"the paths in its tar take more than {mib} MiB", NOT_OURS)
        self._kinds[path] = kind

    def _check_parents(self, path: bytes) -> None:
        parent = path.rpartition(b"/")[0]
        while parent and parent not in self._kinds:
            self._know(parent, None)
            parent = parent.rpartition(b"/")[0]
        if parent and self._kinds[parent] not in (FOLDER, None):
            raise _refused(path, "lies below a link or a file")

    def _check_link(self, member: Member) -> None:
        target = member.target
        if member.kind == SYMLINK and not 0 < len(target) <= PATH_LIMIT_BYTES:
            raise _refused(member.path, "is a symbolic link without a possible target")
        if member.kind == HARD_LINK and self._kinds.get(target) not in (FILE, HARD_LINK):
            raise _refused(member.path, "is a hard link to no file that came before it")


def _check_path(path: bytes) -> None:
    names = path.split(b"/")
    if path.startswith(b"/"):
        raise _refused(path, "is an absolute path")
    if b".." in names:
        raise _refused(path, "leads upward")
    if b"" in names or b"." in names or b"\0" in path:
        raise _refused(path, "is not a plain path")
    if len(path) > PATH_LIMIT_BYTES or max(map(len, names)) > NAME_LIMIT_BYTES:
        raise _refused(path, "is a longer path than Linux knows")


def _refused(path: bytes, reason: str) -> BakeryError:
    shown = path.decode("utf-8", "replace")
    shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
    return BakeryError(f"its member {shown!r} {reason}", NOT_OURS)
