"""Taking files out of ext2, ext3 and ext4 for good, without a virtual machine.

e2fsprogs' own programs edit the filesystem in the cage, on the overlay: debugfs(8) unlinks files
and clears their inodes, dumpe2fs(8) tells which blocks are free, and those become zeros, as does
the journal behind its superblock. Before and after e2fsck(8) must find nothing to complain of.
"""

import ctypes
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from bakery.disk.extents import Extent, merged
from bakery.disk.volumes.volumes import Survey, Volume
from bakery.host import tools
from bakery.host.errors import BakeryError
from bakery.host.printable import shown
from bakery.host.run import Limits
from bakery.image.engines.base import CannotServe, Removal, Taking, outermost
from bakery.image.engines.cell import Command, Output
from bakery.image.engines.hazards import EXT
from bakery.image.engines.view import View

PROGRAMS = ("debugfs", "dumpe2fs", "e2fsck")
# ext4(5), FILE SYSTEM FEATURES: those that change nothing of what is done here.
FEATURES = frozenset(
    (
        "64bit",
        "dir_index",
        "dir_nlink",
        "ext_attr",
        "extent",
        "extents",
        "extra_isize",
        "fast_commit",
        "filetype",
        "flex_bg",
        "has_journal",
        "huge_file",
        "large_dir",
        "large_file",
        "metadata_csum",
        "metadata_csum_seed",
        "orphan_file",
        "resize_inode",
        "sparse_super",
        "sparse_super2",
        "uninit_bg",
    )
)
SWAP_HEADER_BYTES = 4096
FALLOC_FL_ZERO_RANGE = 0x10  # fallocate(2)
MEMORY_BYTES = 2 << 30
CPU_SECONDS = 600
# `ls -p`: /inode/mode/uid/gid/name/size/, the size empty for a directory.
LISTED = re.compile(r"/([0-9]+)/([0-7]{6})/[0-9]+/[0-9]+/([^/\n]+)/[0-9]*/")
# `dump_extents -l`: depth, entry, logical blocks, physical blocks, length.
LEAF = re.compile(
    r"^ *([0-9]+)/ *\1 +[0-9]+/ *[0-9]+ +([0-9]+) - +[0-9]+ +([0-9]+) - +([0-9]+)", re.MULTILINE
)
FREE = re.compile(r"^  Free blocks: ([0-9].*)$", re.MULTILINE)
BLOCK_SIZE = re.compile(r"[0-9]{1,9}")
STATUS = re.compile(rb"^Inode: ([0-9]+) +Type: (\w+).*?^Links: ([0-9]+) ", re.MULTILINE | re.DOTALL)
# Inodes have 32 bits and blocks 48; what is longer is no number of a filesystem's.
NUMBER = re.compile(r"[0-9]{1,15}")
E2FSCK_MENDED = (0, 1)  # EXIT CODE: no errors; errors corrected
# A folder that holds itself, or that debugfs is made to tell of so, would have no end.
DEPTH_LIMIT, FOLDERS_LIMIT = 256, 20_000
KIND = 0o170000
DIRECTORY = 0o040000
FILE = 0o100000


def scrub(view: View, survey: Survey, removal: Removal) -> set[str]:
    """Take `removal` out of the disk that `view` shows; CannotServe leaves the overlay unusable.

    Returns the paths that were left: links where a file was to be emptied.
    """
    _refuse(survey, removal)
    left: set[str] = set()
    with view.editing() as (disk, descriptor):
        for volume in removal.filesystems:
            filesystem = _Filesystem(view, disk, volume)
            filesystem.refuse_unknown()
            filesystem.check()
            takings = outermost(t for t in removal.takings if t.volume == volume)
            blanks = [extent for t in takings for extent in filesystem.blanks(t)]
            left |= filesystem.take(takings)
            filesystem.mend()
            _zero(descriptor, [*blanks, *filesystem.journal(), *filesystem.free()])
            os.fsync(descriptor)
            filesystem.check()
        swaps = [volume.place[0] for volume in removal.swaps]
        _zero(descriptor, [_behind(swap, SWAP_HEADER_BYTES) for swap in swaps])
        _zero(descriptor, removal.gaps)
    return left


def _refuse(survey: Survey, removal: Removal) -> None:
    missing = tools.missing(PROGRAMS)
    if missing:
        raise CannotServe(f"{', '.join(missing)} not installed", tools.install_hint(missing))
    if survey.groups:
        raise CannotServe("free extents of a volume group are cleared in an appliance")
    for volume in removal.filesystems:
        if volume.type not in EXT:
            raise CannotServe(f"{volume.device} is {volume.type}, which takes a kernel to edit")
    for volume in removal.swaps:
        if volume.type != "swap":
            raise CannotServe(f"{volume.device} holds a suspended system")


class _Filesystem:
    """One filesystem on the disk, which in the cage is the file `disk`."""

    def __init__(self, view: View, disk: str, volume: Volume) -> None:
        (self._place,) = volume.place
        self._view = view
        self._device = volume.device
        self._known: dict[str, list[tuple[str, int, int]]] = {}
        self._name = f"{disk}?offset={self._place.offset}"
        self._limits = Limits(MEMORY_BYTES, CPU_SECONDS, view.size_bytes)
        told = self._run("dumpe2fs", "-h", self._name).stdout.decode("utf-8", "replace")
        fields = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
        self._features = set(fields.get("Filesystem features", "unknown").split())
        size = fields.get("Block size", "").strip()
        self._block_bytes = int(size) if BLOCK_SIZE.fullmatch(size) else 0
        self._clean = fields.get("Filesystem state", "").strip() == "clean"

    def refuse_unknown(self) -> None:
        """CannotServe where something is in use that this knows nothing of."""
        unknown = sorted(self._features - FEATURES)
        if unknown or not self._clean or not self._block_bytes:
            reason = f"uses {', '.join(unknown)}" if unknown else "was not unmounted"
            raise CannotServe(f"{self._device} {reason}")

    def take(self, takings: Sequence[Taking]) -> set[str]:
        """Remove and empty files, but links that are to be emptied: their paths.

        CannotServe where debugfs complains.
        """
        left: set[str] = set()
        lines: list[str] = []
        removed: list[int] = []
        for taking in takings:
            inode, mode = self._status(taking.path)
            if taking.action == "remove":
                for line, gone in self._removal(taking.path, inode, mode):
                    lines.append(line)
                    removed.append(gone)
            elif mode & KIND != FILE:
                left.add(taking.path)
            elif taking.action == "empty":
                lines += [f"punch <{inode}> 0", f"set_inode_field <{inode}> size 0"]
        lines += [f"clri <{inode}>" for inode in self._nameless(removed)]
        self._edit(lines)
        return left

    def blanks(self, taking: Taking) -> list[Extent]:
        """What of the disk a swap file that is to be blanked covers, behind its header."""
        if taking.action != "blank":
            return []
        inode, mode = self._status(taking.path)
        if mode & KIND != FILE:
            return []
        skip = -(-SWAP_HEADER_BYTES // self._block_bytes)
        return self._extents(inode, skip)

    def journal(self) -> list[Extent]:
        """Where the journal lies, but for its superblock."""
        return self._extents(8, 1) if "has_journal" in self._features else []

    def free(self) -> list[Extent]:
        """The blocks that no file has."""
        told = self._run("dumpe2fs", self._name)
        if told.returncode:
            raise CannotServe(f"dumpe2fs, on {self._device}: {told.complaint}")
        ranges = [
            span.strip().partition("-")
            for line in FREE.findall(told.stdout.decode("utf-8", "replace"))
            for span in line.split(",")
        ]
        return [self._blocks(_number(first), _number(last or first)) for first, _, last in ranges]

    def mend(self) -> None:
        """Give back what debugfs forgets: blocks of extended attributes, and files' counts of them.

        e2fsck(8) with -p makes only changes that are sure; CannotServe where more is wrong.
        """
        if self._run("e2fsck", "-fp", self._name).returncode not in E2FSCK_MENDED:
            raise CannotServe(f"e2fsck cannot mend {self._device}")

    def check(self) -> None:
        """CannotServe where e2fsck finds fault."""
        if self._run("e2fsck", "-fn", self._name).returncode:
            raise CannotServe(f"e2fsck still finds errors in {self._device}")

    def _edit(self, lines: list[str]) -> None:
        """Have debugfs change the filesystem."""
        if not lines:
            return
        output = self._debugfs(lines, "-w")
        # It repeats each line on standard output, and complains, behind its version, on the other.
        said = output.stderr.decode("utf-8", "replace").splitlines()
        complaints = [line for line in said if line.strip() and not line.startswith("debugfs 1.")]
        if output.returncode or complaints:
            raise CannotServe(f"debugfs, on {self._device}: {(complaints or ['failed'])[0]}")

    def _removal(self, path: str, inode: int, mode: int) -> Iterator[tuple[str, int]]:
        """The lines that remove a path, and the inode that each takes a name from."""
        _refuse_odd(path)
        if mode & KIND != DIRECTORY:
            yield f'rm "{path}"', inode
            return
        for name, below, kind in self._listed(path):
            yield from self._removal(f"{path}/{name}", below, kind)
        yield f'rmdir "{path}"', inode

    def _nameless(self, removed: Sequence[int]) -> Iterator[int]:
        """Those inodes that lose all of their names; a directory has but one."""
        told = self._debugfs([f"stat <{inode}>" for inode in sorted(set(removed))]).stdout
        names = Counter(removed)
        for found in STATUS.finditer(told):
            inode, kind, links = _number(found[1].decode()), found[2], _number(found[3].decode())
            if kind == b"directory" or links == names[inode]:
                yield inode

    def _status(self, path: str) -> tuple[int, int]:
        """The inode and the mode of a path, links not followed."""
        folder, _, name = path.rpartition("/")
        for listed, inode, mode in self._listed(folder or "/"):
            if listed == name:
                return inode, mode
        raise CannotServe(f"debugfs does not find {path} in {self._device}")

    def _listed(self, path: str) -> list[tuple[str, int, int]]:
        """The names in a directory, each with its inode and mode."""
        _refuse_odd(path)
        if path not in self._known:
            if path.count("/") > DEPTH_LIMIT or len(self._known) >= FOLDERS_LIMIT:
                raise CannotServe(f"{self._device} holds folders that are too deep, or too many")
            told = self._debugfs([f'ls -p "{path}"']).stdout.decode("utf-8", "surrogateescape")
            lines = [line for line in told.splitlines() if line.startswith("/")]
            matches = [match for line in lines if (match := LISTED.fullmatch(line))]
            if len(matches) != len(lines):
                raise CannotServe(f"{path} in {self._device} holds an ambiguous name")
            named = [(match[3], _number(match[1]), int(match[2], 8)) for match in matches]
            self._known[path] = [entry for entry in named if entry[0] not in (".", "..")]
        return self._known[path]

    def _extents(self, inode: int, skip_blocks: int) -> list[Extent]:
        """Where a file's blocks from `skip_blocks` on lie; CannotServe where it has no extents."""
        told = self._debugfs([f"dump_extents -l <{inode}>"]).stdout.decode("utf-8", "replace")
        leaves = [tuple(map(_number, match.groups()[1:])) for match in LEAF.finditer(told)]
        if not leaves:
            raise CannotServe(
                f"inode {inode} of {self._device} has extents that debugfs does not list"
            )
        found = []
        for logical, first, last in leaves:
            start = first + max(0, skip_blocks - logical)
            found += [self._blocks(start, last)] if start <= last else []
        return found

    def _blocks(self, first: int, last: int) -> Extent:
        offset = self._place.offset + first * self._block_bytes
        extent = Extent(offset, (last - first + 1) * self._block_bytes)
        if extent.end > self._place.end:
            raise BakeryError(f"{self._device} names blocks beyond its end")
        return extent

    def _debugfs(self, lines: list[str], *options: str) -> Output:
        path, descriptor = self._view.make()
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
        return self._run("debugfs", *options, "-f", path, self._name)

    def _run(self, *words: str) -> Output:
        return self._view.cell.run(Command(list(words), self._limits))


def _refuse_odd(path: str) -> None:
    """CannotServe for a name that would be another one, or several words, in debugfs's line."""
    if '"' in path or not path.isprintable():
        raise CannotServe(f"{shown(path)} is not a name that debugfs can be given")


def _number(text: str) -> int:
    """A number that e2fsprogs printed of a stranger's filesystem; CannotServe where it is none."""
    if not NUMBER.fullmatch(text):
        raise CannotServe(f"{text[:40]!r} is no number of an inode or a block")
    return int(text)


def _behind(place: Extent, length: int) -> Extent:
    return Extent(place.offset + length, place.length - length)


def _zero(descriptor: int, ranges: Iterable[Extent]) -> None:
    """Make ranges of an open file read as zeros, without writing them (fallocate(2))."""
    library = ctypes.CDLL(None, use_errno=True)
    for extent in merged(ranges):
        where = (ctypes.c_long(extent.offset), ctypes.c_long(extent.length))
        if library.fallocate(descriptor, FALLOC_FL_ZERO_RANGE, *where):
            number = ctypes.get_errno()
            raise CannotServe(f"zeros cannot be written to the overlay: {os.strerror(number)}")
