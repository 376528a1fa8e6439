"""An image shown as plain files: qemu-storage-daemon, a throw-away overlay, FUSE exports.

The nodes inside the daemon (qemu-storage-daemon(1), qemu-qmp-ref(7)):

    image     the source's bytes, read-only
    source    the source's format over it, its own backing file cut off (`backing: null`)
    layer     the overlay's bytes
    disk      the overlay's format, backed by `source`: by node, not by any name in a header
    window-N  a range of `disk`: one partition or logical volume

Every file shown is read-only but for the length of an edit.
"""

import contextlib
import itertools
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from bakery.disk.blockdevs import BACKED_FORMATS
from bakery.disk.extents import Extent, ReadAt
from bakery.disk.formats import qcow2
from bakery.host import tools
from bakery.host.errors import BakeryError
from bakery.host.qmp import Monitor, QemuRefused
from bakery.host.run import Limits, run
from bakery.host.sandbox import Mount
from bakery.image.engines.base import CannotServe, cluster_bytes
from bakery.image.engines.cell import Cell, Command
from bakery.image.engines.grubfs import on_disk

IMAGE_INSIDE = Path("/image")
SESSION_INSIDE = Path("/session")
SHOWN_INSIDE = Path("/tmp")  # noqa: S108 - the cage has a /tmp of its own
OVERLAY_NAME = "overlay.qcow2"
SHOWN_NAME = "shown"
DAEMON_LIMITS = Limits(memory_bytes=2 << 30, cpu_seconds=600, file_bytes=1 << 40)


class _BlockImage(msgspec.Struct, frozen=True, rename="kebab"):
    virtual_size: int


class _BlockNode(msgspec.Struct, frozen=True, rename="kebab"):
    """A node as `query-named-block-nodes` tells of it (qemu-qmp-ref(7): BlockDeviceInfo)."""

    image: _BlockImage
    node_name: str = ""


class View:
    """A session's running daemon. `size_bytes` is the disk's; paths are as the cage names them."""

    def __init__(self, source: Path, source_format: str, work: Path) -> None:
        self.source = source.absolute()
        self.overlay = work.absolute() / OVERLAY_NAME
        self.source_format = source_format
        self._scratch = work.absolute() / SHOWN_NAME
        self._numbers = itertools.count(1)
        self._windows: dict[Extent, str] = {}
        _refuse_external_data(self.source)
        self.overlay.write_bytes(b"")
        self.cell = self._start_cell(work.absolute())
        try:
            self.monitor = Monitor(self.cell.talk)
            self.size_bytes = self._open_image()
            self._add_overlay()
            self.disk = self._show("disk", "disk.raw")
            self._reader = self.cell.open(self.disk)
        except BaseException as error:
            said = self.cell.log().replace(str(IMAGE_INSIDE), str(self.source))
            self._stop()
            if isinstance(error, BakeryError) and said:
                kind = CannotServe if isinstance(error, CannotServe) else BakeryError
                raise kind(f"{error.message} ({said})", error.hint) from error
            raise

    def window(self, place: Extent) -> str:
        """Show a range of the disk as a file of its own; its path, good until the next edit."""
        if place == Extent(0, self.size_bytes):
            return self.disk
        if place not in self._windows:
            node = f"window-{next(self._numbers)}"
            position = {"offset": place.offset, "size": place.length}
            self._add_node("raw", node, {"file": "disk", "read-only": True, **position})
            self._windows[place] = node
            self._show(node, node)
        return str(self._shown / self._windows[place])

    def make(self) -> tuple[str, int]:
        """A new file beside those shown: its path, and a descriptor that the caller closes."""
        path = str(self._shown / f"file-{next(self._numbers)}")
        return path, self.cell.open(path, "make")

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes of the disk from `offset` on, fewer at its end; BakeryError if damaged."""
        try:
            return os.pread(self._reader, length, offset)
        except OSError as error:
            raise BakeryError(
                f"{self.source} cannot be read at byte {offset} of its disk: {error.strerror}",
                "see: bakery check IMAGE",
            ) from error

    def reader(self, place: Sequence[Extent]) -> ReadAt:
        """What reads a volume, whose bytes are these ranges of the disk joined in order."""

        def read_at(offset: int, length: int) -> bytes:
            pieces = on_disk([Extent(offset, length)], place)
            return b"".join(self.read(piece.offset, piece.length) for piece in pieces)

        return read_at

    def write(self, pieces: Sequence[tuple[Extent, bytes]]) -> None:
        """Write to the disk, which is to the overlay; BakeryError where that fails."""
        with self.editing() as (_, descriptor):
            for extent, data in pieces:
                os.pwrite(descriptor, data, extent.offset)

    @contextlib.contextmanager
    def editing(self) -> Iterator[tuple[str, int]]:
        """The disk as a file that can be written to: its path in the cage, and a descriptor of it.

        Closes every window: a file that can be written to could be resized, which a node with
        a window on it does not allow.
        """
        for node in self._windows.values():
            self._hide(node)
            self.monitor.call("blockdev-del", {"node-name": node})
        self._windows.clear()
        name = f"edit-{next(self._numbers)}"
        path = self._show("disk", name, writable=True)
        descriptor = self.cell.open(path, "edit")
        try:
            yield path, descriptor
            os.fsync(descriptor)
        except OSError as error:
            raise BakeryError(f"{self.overlay} cannot be written: {error.strerror}") from error
        finally:
            _close(descriptor)
            self._hide(name)
            # What was read through the old descriptor may be remembered; a new one starts afresh.
            _close(self._reader)
            self._reader = self.cell.open(self.disk)

    def close(self) -> None:
        """Flush and stop the daemon; the overlay is complete when this returns."""
        _close(self._reader)
        try:
            self.monitor.call("quit")
            code = self.cell.wait_for_daemon()
            complaint = self.cell.log()
        finally:
            self._stop()
        if code != 0:
            raise BakeryError(f"qemu-storage-daemon failed on exit: {complaint}")

    def _stop(self) -> None:
        self.cell.close()
        if not self.cell.confined:
            _clear(self._scratch)

    def _start_cell(self, work: Path) -> Cell:
        """Start cage and daemon, and settle what image, layer and views are called there."""
        mounts = (Mount(self.source, IMAGE_INSIDE), Mount(work, SESSION_INSIDE, writable=True))
        monitor = ("--chardev", "stdio,id=m", "--monitor", "chardev=m")
        cell = Cell(mounts, Command(["qemu-storage-daemon", *monitor], DAEMON_LIMITS))
        if cell.confined:
            self._image, self._layer = IMAGE_INSIDE, SESSION_INSIDE / OVERLAY_NAME
            self._shown = SHOWN_INSIDE
        else:
            self._image, self._layer = self.source, self.overlay
            self._shown = self._scratch
            self._shown.mkdir(mode=0o700)
        return cell

    def _open_image(self) -> int:
        """Open the source by explicit nodes; its virtual size in bytes."""
        chain = {"backing": None} if self.source_format in BACKED_FORMATS else {}
        image = {"filename": str(self._image), "read-only": True}
        self._add_node("file", "image", image)
        self._add_node(self.source_format, "source", {"file": "image", "read-only": True, **chain})
        try:
            nodes = self.monitor.call("query-named-block-nodes", {"flat": True})
        except QemuRefused as error:
            reason = error.reason.replace(str(self._image), str(self.source))
            raise BakeryError(
                f"{self.source} cannot be opened as {self.source_format}: {reason}",
                "see: bakery check IMAGE",
            ) from error
        return _size(nodes)

    def _add_overlay(self) -> None:
        """Make the overlay: an empty qcow2 that names the source, opened over `source`."""
        # Nothing here has to outlive a power cut, so nothing waits for the disk.
        cache = {"cache": {"no-flush": True}}
        self._add_node("file", "layer", {"filename": str(self._layer), **cache})
        options = {
            "driver": "qcow2",
            "file": "layer",
            "size": self.size_bytes,
            "cluster-size": cluster_bytes(self.size_bytes),
        }
        name = os.fsencode(self.source)
        if _is_text(name):
            options |= {"backing-file": str(self.source), "backing-fmt": self.source_format}
        try:
            self.monitor.run_job("overlay", "blockdev-create", {"options": options})
        except QemuRefused as error:
            raise BakeryError(f"{self.overlay} cannot be made: {error.reason}") from error
        if not _is_text(name):
            # JSON cannot carry such a name; an argument list can.
            words = ["qemu-img", "rebase", "-u", "-f", "qcow2", "-F", self.source_format]
            run([*words, "-b", self.source, self.overlay])
        self._add_node("qcow2", "disk", {"file": "layer", "backing": "source", **cache})

    def _add_node(self, driver: str, node: str, options: dict[str, object]) -> None:
        self.monitor.send("blockdev-add", {"driver": driver, "node-name": node, **options})

    def _show(self, node: str, name: str, *, writable: bool = False) -> str:
        """Export a node as the file `name`; its path as the cage names it."""
        path = str(self._shown / name)
        os.close(self.cell.open(path, "make"))
        export = {"type": "fuse", "id": name, "node-name": node, "mountpoint": path}
        export["allow-other"] = "off"
        try:
            self.monitor.call("block-export-add", {**export, "writable": writable})
        except QemuRefused as error:
            raise CannotServe(
                f"the image cannot be shown as a file: {error.reason}", "see: bakery doctor"
            ) from error
        return path

    def _hide(self, name: str) -> None:
        """Take back what `_show` showed."""
        self.monitor.call("block-export-del", {"id": name})
        self.monitor.wait_for("BLOCK_EXPORT_DELETED", {"id": name})


def _size(told: object) -> int:
    """The virtual size of `source`, in bytes, by what a daemon that has read the image tells."""
    try:
        nodes = msgspec.convert(told, list[_BlockNode])
    except msgspec.ValidationError as error:
        raise BakeryError(f"qemu tells of its nodes what makes no sense: {error}") from None
    sizes = [node.image.virtual_size for node in nodes if node.node_name == "source"]
    if not sizes or sizes[0] < 0:
        raise BakeryError("qemu does not tell the size of the image")
    return sizes[0]


def _refuse_external_data(source: Path) -> None:
    """A qcow2 whose data lies in another file would have qemu open whatever file it names."""
    try:
        with source.open("rb") as file:
            header = file.read(80)
    except OSError as error:
        raise BakeryError(f"{source} cannot be read: {error.strerror}") from error
    features = int.from_bytes(header[72:80], "big") if header[4:8] == b"\0\0\0\3" else 0
    if header.startswith(qcow2.MAGIC) and features & qcow2.DATA_FILE:
        raise BakeryError(
            f"{source} keeps its data in another file, which is not followed",
            "make it one file: qemu-img convert -O qcow2 IMAGE NEW, where you trust the image",
        )


def _close(descriptor: int) -> None:
    """Close a file whose FUSE daemon may have ended."""
    with contextlib.suppress(OSError):
        os.close(descriptor)


def _is_text(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _clear(folder: Path) -> None:
    """Remove what an uncaged session showed; a mount that outlived its daemon goes first."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            path.unlink()
        except OSError:
            words = ["fusermount3", "-u", "-z"] if tools.find("fusermount3") else ["umount", "-l"]
            run([*words, path], check=False)
    # What cannot be removed now is in a folder that is private and thrown away.
    shutil.rmtree(folder, ignore_errors=True)
