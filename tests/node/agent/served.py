"""A packed image and a partition table on a real HTTP server, and what brings them to a disk."""

import io
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bakery.conductor import encryption, write_list
from bakery.conductor.journal import Deployment
from bakery.disk.packed import packed_index
from bakery.disk.packed.packing import pack_file
from bakery.netboot.http import HttpServer
from bakery.netboot.tree import Tree
from bakery.node.agent import image, signed_list
from bakery.node.agent.disk import BlockDevice
from bakery.node.agent.fetch import Patience
from bakery.node.agent.pull import pull
from bakery.node.agent.write_list import WriteList

MIB = 1 << 20
SIZE = 40 * MIB + 8192
QUICK = Patience(first_pause=0.01, longest_pause=0.05, tick=0.02)
"""What is measured in seconds between machines is shorter on one."""
TERMS = write_list.Terms(build="k1", serial=7, expires=1 << 40)
HERE = signed_list.Here("node-1", SIZE)
TABLE = bytes(440) + b"\x55" * 72
PLACES = (0, 3 * MIB - 4096, 7 * MIB, 12 * MIB, 13 * MIB, 14 * MIB, 30 * MIB, SIZE - 8192)


CAST_KEY = bytes(range(32))


def base(path: Path, size: int, places: Iterable[int]) -> Path:
    """An image with data at some places, between holes."""
    source = random.Random(3)
    with path.open("wb") as file:
        file.truncate(size)
        for place in places:
            file.seek(place)
            file.write(source.randbytes(min(700_000, size - place)))
    return path


def packing(image_file: Path) -> tuple[packed_index.Index, bytes]:
    """Its index, and its frames."""
    frames = io.BytesIO()
    index, _ = pack_file(image_file, frames)
    return index, frames.getvalue()


class Served:
    """A packed image, and a partition table, on a real server."""

    def __init__(self, folder: Path, size: int = SIZE, places: Iterable[int] = PLACES) -> None:
        self.base = base(folder / "base", size, places)
        table = folder / "table"
        table.write_bytes(TABLE)
        self.base_index, frames = packing(self.base)
        self.table_index, self.table_frames = packing(table)
        self.frames = bytearray(frames)
        self.tree = Tree()
        self.tree.put("base.zst", frames)
        self.tree.put("table.zst", self.table_frames)
        self.events: list[Any] = []
        self.server = HttpServer("127.0.0.1", self.tree, self.events.append)

    @property
    def chunks(self) -> tuple[image.Chunk, ...]:
        """The base's, those with data."""
        return image.parse(packed_index.encode(self.base_index)).chunks

    @property
    def encrypted_frames(self) -> bytes:
        """The base's frames, as they are multicast."""
        return encryption.encrypter(CAST_KEY).update(bytes(self.frames))

    @property
    def data_bytes(self) -> int:
        """What has to travel: the frames of all chunks with data."""
        every = (*self.base_index.chunks, *self.table_index.chunks)
        return sum(chunk.length for chunk in every)

    def pieces(self, place: int, url: str = "") -> list[dict[str, Any]]:
        """As a write list has them: the base at a byte of the disk, a table where that is not 0."""
        at, table = url or self.server.url, (0, "table.zst", self.table_index)
        every = [(place, "base.zst", self.base_index), *([table] if place else [])]
        return [{"place": p, "frames": f"{at}/{name}", "index": index} for p, name, index in every]

    def write_list(self, place: int = MIB, url: str = "", cast: int = 0) -> WriteList:
        """What a node makes of such a list."""
        deployment = Deployment.fresh()
        content = self.signed(deployment, place, url, cast)
        return signed_list.read(content, bytes.fromhex(deployment.public_key), HERE)

    def signed(
        self, deployment: Deployment, place: int = MIB, url: str = "", cast: int = 0
    ) -> bytes:
        """Signed, as a conductor would give it."""
        pieces = self.pieces(place, url)
        pieces[0] |= {"cast": {"port": cast, "key": CAST_KEY.hex()}} if cast else {}
        return write_list.signed(pieces, TERMS, deployment.signed)


def told(_part: str, _done: int, _total: int) -> None:
    pass


def brought(disk: Path, write_list: WriteList, patience: Patience = QUICK) -> bytes:
    with BlockDevice(str(disk)) as device:
        pull(device, write_list, told, patience=patience)
    return disk.read_bytes()
