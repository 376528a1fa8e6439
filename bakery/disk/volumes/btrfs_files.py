"""Subvolumes and names in a btrfs: what a directory holds, where a path leads, links followed.

A subvolume is a tree of its own, whose first directory is object 256; it stands in its parent as a
name that leads to a tree (Linux, fs/btrfs/{inode,dir-item,root-tree}.c). The names of a snapshot
lead to no subvolume any more where the original had one: the kernel shows an empty directory there,
and so does this. Everything is told as somebody sees it who has mounted the subvolume.
"""

import stat
import struct
from collections.abc import Iterator
from typing import NamedTuple

from bakery.disk.extents import ReadAt
from bakery.disk.volumes.btrfs import LAST, ROOT_ITEM, Key, Root, Trees
from bakery.disk.volumes.volumes import TOP_LEVEL, Subvolume
from bakery.host.errors import BakeryError

INODE_ITEM = 1
INODE_REF = 12
DIR_ITEM = 84
DIR_INDEX = 96
EXTENT_DATA = 108
ROOT_BACKREF = 144
ROOT_REF = 156
FIRST_OBJECT = 256
LAST_TREE = LAST - 256
DIRECTORY, LINK = 2, 7  # as a name in a directory tells its kind
INLINE = 0
INLINE_OFFSET = 21
SUBVOLUME_LIMIT = 20_000
ENTRY_LIMIT = 20_000
DEPTH_LIMIT = 256
LINK_LIMIT = 40  # path_resolution(7)
NAME_LIMIT = 255
_CRC32C = 0x82F63B78


class Node(NamedTuple):
    """A file: the subvolume it is in, and its number there; `kind` as a directory tells it.

    `tree` 0 is the empty directory that stands where a subvolume was not taken into a snapshot.
    """

    tree: int
    number: int
    kind: int


class Found(NamedTuple):
    """What a path led to: the way there from a subvolume's root, without a link on it."""

    names: tuple[bytes, ...]
    nodes: tuple[Node, ...]
    """The root first, then what each name is."""

    @property
    def node(self) -> Node:
        """What is there."""
        return self.nodes[-1]


class Status(NamedTuple):
    """Size in bytes, and mode as in stat(2)."""

    size: int
    mode: int


class Files:
    """The files of one btrfs; BakeryError where what it holds cannot be believed.

    No directory may hold more than `entry_limit` names, nor the whole more subvolumes.
    """

    def __init__(
        self,
        read_at: ReadAt,
        entry_limit: int = ENTRY_LIMIT,
        subvolume_limit: int = SUBVOLUME_LIMIT,
    ) -> None:
        self._trees = Trees(read_at)
        self._entry_limit = entry_limit
        self._subvolume_limit = subvolume_limit
        self._roots: dict[int, Root | None] = {}

    def subvolumes(self) -> tuple[Subvolume, ...]:
        """All subvolumes but the top level, by their number."""
        parents = self._parents()
        default = self._default()
        found = []
        for number in sorted(parents):
            path = self._path(number, parents)
            if path is not None and self._root(number) is not None:
                found.append(Subvolume(number, _text(path), number == default))
        return tuple(found)

    def top(self, subvolume: int) -> Found:
        """The root of a subvolume."""
        if self._root(subvolume) is None:
            raise BakeryError(f"the btrfs has no subvolume {subvolume}")
        return Found((), (Node(subvolume, FIRST_OBJECT, DIRECTORY),))

    def find(self, start: Found, path: bytes) -> Found | None:
        """Where a path leads from a directory; None where it leads nowhere.

        What begins with a slash, and `..`, stay in the subvolume, as under chroot(2).
        """
        here = Found((), start.nodes[:1]) if path.startswith(b"/") else start
        words, links = _words(path)[::-1], 0
        while words:
            word = words.pop()
            if here.node.kind != DIRECTORY or len(word) > NAME_LIMIT:
                return None
            if word == b"..":
                here = Found(here.names[:-1], here.nodes[:-1] or here.nodes)
                continue
            node = self._entry(here.node, word)
            if node is None:
                return None
            if node.kind != LINK:
                here = Found((*here.names, word), (*here.nodes, node))
                continue
            target, links = self._target(node), links + 1
            if links > LINK_LIMIT or not target:
                return None
            words += _words(target)[::-1]
            here = Found((), here.nodes[:1]) if target.startswith(b"/") else here
        return here

    def directory(self, node: Node) -> list[tuple[bytes, Node]]:
        """The names in a directory and what each is, links not followed."""
        root = self._root(node.tree) if node.tree else None
        if root is None:
            return []
        first, last = Key(node.number, DIR_INDEX, 0), Key(node.number, DIR_INDEX, LAST)
        found: list[tuple[bytes, Node]] = []
        for _, item in self._trees.items(root, first, last):
            for location, kind, name in _names(item):
                found.append((name, self._node(node, location, kind, name)))
            if len(found) > self._entry_limit:
                raise BakeryError(f"a directory holds more than {self._entry_limit} names")
        return found

    def status(self, node: Node) -> Status:
        """Size and mode of a file."""
        if not node.tree:
            return Status(0, stat.S_IFDIR | 0o755)
        root = self._root(node.tree)
        item = self._trees.item(root, Key(node.number, INODE_ITEM, 0)) if root else None
        if item is None or len(item) < 160:
            raise BakeryError(f"the btrfs is damaged: file {node.number} is nowhere")
        (size,) = struct.unpack_from("<Q", item, 16)
        (mode,) = struct.unpack_from("<I", item, 52)
        return Status(size, mode)

    def _entry(self, directory: Node, name: bytes) -> Node | None:
        root = self._root(directory.tree) if directory.tree else None
        if root is None:
            return None
        item = self._trees.item(root, Key(directory.number, DIR_ITEM, _name_hash(name)))
        for location, kind, other in _names(item or b""):
            if other == name:
                return self._node(directory, location, kind, name)
        return None

    def _node(self, directory: Node, location: Key, kind: int, name: bytes) -> Node:
        """What a name leads to; through one that leads to a tree, the root of that."""
        if location.type != ROOT_ITEM:
            return Node(directory.tree, location.object, kind)
        reference = Key(directory.tree, ROOT_REF, location.object)
        item = self._trees.item(self._trees.root, reference)
        if item is None or _reference(item) != (directory.number, name):
            return Node(0, location.object, DIRECTORY)
        return Node(location.object, FIRST_OBJECT, DIRECTORY)

    def _target(self, node: Node) -> bytes:
        """Where a link leads, as it is written.

        Up to a NUL, as the kernel takes it: mkfs.btrfs --rootdir writes one behind it.
        """
        root = self._root(node.tree)
        item = self._trees.item(root, Key(node.number, EXTENT_DATA, 0)) if root else None
        if item is None or len(item) < INLINE_OFFSET or item[20] != INLINE or item[16]:
            raise BakeryError(f"the btrfs is damaged: link {node.number} leads nowhere")
        return item[INLINE_OFFSET:].partition(b"\0")[0]

    def _root(self, number: int) -> Root | None:
        if number not in self._roots:
            self._roots[number] = self._trees.tree(number)
        return self._roots[number]

    def _default(self) -> int:
        """The subvolume that is mounted where none is named."""
        key = Key(self._trees.root_directory, DIR_ITEM, _name_hash(b"default"))
        for location, _, name in _names(self._trees.item(self._trees.root, key) or b""):
            if name == b"default":
                return location.object
        return TOP_LEVEL

    def _parents(self) -> dict[int, tuple[int, int, bytes]]:
        """Each subvolume's parent, the number of the directory in it, and its name there."""
        found: dict[int, tuple[int, int, bytes]] = {}
        first, last = Key(FIRST_OBJECT, 0, 0), Key(LAST_TREE, 0, 0)
        for key, item in self._trees.items(self._trees.root, first, last):
            if key.type == ROOT_BACKREF:
                found[key.object] = (key.offset, *_reference(item))
            if len(found) > self._subvolume_limit:
                raise BakeryError(f"the btrfs has more than {self._subvolume_limit} subvolumes")
        return found

    def _path(self, number: int, parents: dict[int, tuple[int, int, bytes]]) -> bytes | None:
        """A subvolume's path from the top level; None where it hangs on one that was deleted."""
        names: list[bytes] = []
        while number != TOP_LEVEL:
            if number not in parents or len(names) > DEPTH_LIMIT:
                return None
            number, directory, name = parents[number]
            names += [name, *self._above(number, directory)]
        return b"/".join(reversed(names))

    def _above(self, tree: int, directory: int) -> Iterator[bytes]:
        """The names from a directory up to the root of its subvolume."""
        root = self._root(tree)
        for _ in range(DEPTH_LIMIT):
            if directory == FIRST_OBJECT or root is None:
                return
            first, last = Key(directory, INODE_REF, 0), Key(directory, INODE_REF, LAST)
            key, item = next(self._trees.items(root, first, last), (None, b""))
            if key is None or len(item) < 10:
                break
            directory = key.offset
            yield item[10 : 10 + struct.unpack_from("<H", item, 8)[0]]
        raise BakeryError(f"the btrfs is damaged: directory {directory} of tree {tree} is nowhere")


def _names(item: bytes) -> Iterator[tuple[Key, int, bytes]]:
    """The names of a directory's item, each with what it leads to and its kind."""
    while item:
        if len(item) < 30:
            raise BakeryError("the btrfs is damaged: a directory is torn")
        data, length = struct.unpack_from("<HH", item, 25)
        name = item[30 : 30 + length]
        if len(name) != length or not name or b"/" in name or name in (b".", b".."):
            raise BakeryError("the btrfs is damaged: a directory holds what cannot be a name")
        yield Key(*struct.unpack_from("<QBQ", item)), item[29], name
        item = item[30 + length + data :]


def _reference(item: bytes) -> tuple[int, bytes]:
    """The directory a subvolume stands in, and its name."""
    if len(item) < 18:
        raise BakeryError("the btrfs is damaged: a subvolume has no name")
    directory, length = struct.unpack_from("<Q8xH", item)
    name = item[18 : 18 + length]
    if len(name) != length or not name or b"/" in name:
        raise BakeryError("the btrfs is damaged: a subvolume has no possible name")
    return int(directory), name


def _words(path: bytes) -> list[bytes]:
    return [word for word in path.split(b"/") if word not in (b"", b".")]


def _text(name: bytes) -> str:
    text = name.decode("utf-8", "surrogateescape")
    if not text.isprintable():
        raise BakeryError(f"the btrfs holds a name that is not plain text: {name[:60]!r}")
    return text


def _name_hash(name: bytes) -> int:
    """What a name is looked up by: CRC-32C that starts from ~1 and is not inverted at its end."""
    value = 0xFFFFFFFE
    for byte in name:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (_CRC32C if value & 1 else 0)
    return value
