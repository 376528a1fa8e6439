"""Files in a filesystem that nobody mounts: what to ask of grub-fstest, and what it answers.

grub-fstest runs the filesystem readers of the GRUB boot loader as a program. A file is named as
in GRUB, `(loop0)/path`: `loop0` is the image it is given; links are followed inside the volume.
Formats are those of GRUB 2.06: `grub-core/commands/ls.c`, `blocklist.c`, `util/grub-fstest.c`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bakery.disk.extents import Extent, joined
from bakery.host.errors import BakeryError
from bakery.image.engines.base import CannotServe, FileMissing

PROGRAM = "grub-fstest"
SECTOR_BYTES = 512
EXTENT_LIMIT = 1 << 16
# `ls -l`: a size or DIR, the time of the last change, the name.
LONG_LINE = re.compile(rb"(DIR|[0-9]{1,19}) +-?[0-9]+ (.+)", re.DOTALL)
BLOCK = re.compile(r"([0-9]{1,18})(?:\+([0-9]{1,18})|\[([0-9]{1,3})-([0-9]{1,3})\])")
XFS_STEP = re.compile(rb"xfs\.c:\d+: Reading inode \((\d+)\)")
BEHIND = re.compile(rf"(?:/\S*/)?{PROGRAM}: error: invalid skip value [0-9]+\.")
# GRUB cuts a message of its own at 255 bytes; the one that starts so says "not found".
MISSING = ("': file `", "not found", "not a directory", "too deep nesting of symlinks")


@dataclass(frozen=True)
class Place:
    """Where GRUB finds a volume: the image files it is given, and what it calls it in them."""

    images: tuple[str, ...]
    device: str = "loop0"

    def name(self, path: str) -> str:
        """A file of the volume, as GRUB names it; BakeryError for what cannot be a path."""
        if not path.startswith("/") or any(ord(c) < 0x20 or ord(c) == 0x7F for c in path):
            raise BakeryError(f"{path!r} is not a path in a volume")
        return f"({self.device}){path}"

    def cat(self, path: str) -> list[str]:
        """The command that prints a file; a compressed one as it is."""
        return [*self._program(), "cat", self.name(path)]

    def piece(self, path: str, offset: int, length: int) -> list[str]:
        """The command that prints a range of a file's bytes."""
        part = ("-s", str(offset), "-n", str(length))
        return [*self._program(*part), "cat", self.name(path)]

    def blocklist(self, path: str) -> list[str]:
        """The command that tells where in the volume a file's bytes lie."""
        return [*self._program(), "blocklist", self.name(path)]

    def trace(self, path: str, fs_type: str) -> list[str]:
        """The command that tells what a reader does to find a file; see `identity`."""
        return [*self._program("-d", fs_type), "blocklist", self.name(path)]

    def listings(self, path: str) -> tuple[list[str], list[str]]:
        """The commands that list a directory, short and long; `names` reads what both print.

        With the slash at its end the path can only name a directory.
        """
        name = self.name(path.rstrip("/") + "/")
        short = [*self._program(), "ls", "--", "-a", name]
        return short, [*short[:-2], "-la", name]

    def identify(self) -> list[str]:
        """The command that tells the filesystem GRUB takes the volume for."""
        return [*self._program(), "ls", f"({self.device})"]

    def _program(self, *options: str) -> list[str]:
        several = ("-c", str(len(self.images))) if len(self.images) > 1 else ()
        return [PROGRAM, *options, *several, *self.images]


def is_known(identified: bytes) -> bool:
    """Whether what `identify` printed tells of a filesystem that GRUB can read."""
    return b"Filesystem type" in identified


def is_directory(short: bytes) -> bool:
    """Whether what `ls -a` printed is a directory: where there is none, not even a line ends."""
    return bool(short)


def names(short: bytes, long: bytes) -> list[tuple[str, bool | None]]:
    """The names in a directory, and whether each is one; None where GRUB does not tell.

    The short listing holds every name, parted by spaces that names may hold as well. The long
    one has a line for each name, but leaves out what it cannot open: links to directories,
    links that lead nowhere, pipes and devices. Both are in the same order, so what stands in the
    short listing between two known names was left out of the long one; of that, a name with a
    space in it comes out as several. Raises BakeryError where the two do not fit together.
    """
    found: list[tuple[bytes, bool | None]] = []
    rest = short.strip(b"\n")
    for name, _ in _long_lines(long):
        while rest and not rest.startswith(name + b" "):
            unknown, _, rest = rest.partition(b" ")
            found.append((unknown, None))
        if not rest:
            raise BakeryError("a directory's two listings do not agree")
        rest = rest[len(name) + 1 :]
        found.append((name.removesuffix(b"/"), name.endswith(b"/")))
    found += [(name, None) for name in rest.split(b" ") if name]
    return [(_text(name), known) for name, known in found if name not in (b".", b"..")]


def sizes(long: bytes) -> dict[str, int]:
    """The files of a long listing, links to files among them, with their sizes in bytes."""
    return {_text(name): size for name, size in _long_lines(long) if not name.endswith(b"/")}


def identity(fs_type: str, printed: bytes) -> bytes | None:
    """The inode a `trace` ended at; None where none is told of.

    `xfs.c` tells the number of every inode it reads on the way to a file, whose own comes last.
    """
    found = XFS_STEP.findall(printed) if fs_type == "xfs" else []
    return found[-1] if found else None


def extents(printed: bytes) -> list[Extent]:
    """A blocklist as byte ranges of the volume, in the file's order; empty: it is told of none.

    `START+COUNT` are whole sectors, `SECTOR[FROM-TO]` the bytes of one from FROM up to TO.
    """
    result: list[Extent] = []
    words = printed.decode("ascii", "replace").strip().split(",")
    if len(words) > EXTENT_LIMIT:
        raise CannotServe(f"the file lies in more than {EXTENT_LIMIT} pieces")
    for word in words if words != [""] else []:
        match = BLOCK.fullmatch(word)
        if match is None:
            raise CannotServe(f"GRUB's reader gives the file's place as {word[:40]!r}")
        sector, count, first, last = (int(group or 0) for group in match.groups())
        offset = sector * SECTOR_BYTES + first
        length = count * SECTOR_BYTES if match[2] else last - first
        result.append(Extent(offset, length))
    return joined(result)


def failure(path: str, device: str, complaint: str) -> BakeryError:
    """What grub-fstest's complaint about a file means."""
    reason = complaint.rpartition("': ")[2]
    if "unknown filesystem" in complaint:
        return CannotServe(f"GRUB's readers do not know the filesystem of {device}")
    if any(words in complaint for words in MISSING):
        return FileMissing(f"there is no {path} in {device}")
    if "not a regular file" in complaint:
        return BakeryError(f"{path} in {device} is not a regular file")
    return CannotServe(f"GRUB's reader cannot read {path} in {device}: {reason}")


def is_behind(complaint: str) -> bool:
    """Whether grub-fstest complains that a piece begins behind the end of its file."""
    return BEHIND.fullmatch(complaint) is not None


def on_disk(pieces: Sequence[Extent], place: Sequence[Extent]) -> list[Extent]:
    """Ranges of a volume as ranges of the disk, in the same order; BakeryError beyond its end."""
    result: list[Extent] = []
    for piece in pieces:
        start = 0
        left = piece.length
        for run in place:
            first, last = max(piece.offset, start), min(piece.end, start + run.length)
            if last > first:
                result.append(Extent(run.offset + first - start, last - first))
                left -= last - first
            start += run.length
        if left:
            raise BakeryError(f"byte {piece.end} lies beyond the volume's end, byte {start}")
    return result


def _long_lines(printed: bytes) -> list[tuple[bytes, int]]:
    """The names of a long listing, directories with a slash at their end, and the files' sizes."""
    found: list[tuple[bytes, int]] = []
    for line in printed.strip(b"\n").split(b"\n"):
        match = LONG_LINE.fullmatch(line)
        if line and match is None:
            raise BakeryError("a directory holds a name with a line break in it")
        if match:
            found.append((match[2], 0 if match[1] == b"DIR" else int(match[1])))
    return found


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise BakeryError(f"a directory holds a name that is not text: {name!r}") from error
