"""A packed image and a partition table on a real HTTP server, and what brings them to a disk."""

import io
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from bakery.agent import image, plan
from bakery.agent.disk import BlockDevice
from bakery.agent.order import Order
from bakery.agent.pull import pull
from bakery.deploy.journal import Deployment
from bakery.disk import packed
from bakery.disk.packing import pack_file
from bakery.serve.http import HttpServer
from bakery.serve.tree import Tree

MIB = 1 << 20
SIZE = 40 * MIB + 8192
TABLE = bytes(440) + b"\x55" * 72
PLACES = (0, 3 * MIB - 4096, 7 * MIB, 12 * MIB, 13 * MIB, 14 * MIB, 30 * MIB, SIZE - 8192)


def base(path: Path, size: int, places: Iterable[int]) -> Path:
    """An image with data at some places, between holes."""
    source = random.Random(3)
    with path.open("wb") as file:
        file.truncate(size)
        for place in places:
            file.seek(place)
            file.write(source.randbytes(min(700_000, size - place)))
    return path


def packing(image_file: Path) -> tuple[packed.Index, bytes]:
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
        return image.parse(packed.encode(self.base_index)).chunks

    @property
    def data_bytes(self) -> int:
        """What has to travel: the frames of all chunks with data."""
        every = (*self.base_index.chunks, *self.table_index.chunks)
        return sum(chunk.length for chunk in every)

    def pieces(self, place: int, url: str = "") -> list[dict[str, Any]]:
        """As a plan lists them: the base at a byte of the disk, and a table where that is not 0."""
        at, table = url or self.server.url, (0, "table.zst", self.table_index)
        every = [(place, "base.zst", self.base_index), *([table] if place else [])]
        return [{"place": p, "frames": f"{at}/{name}", "index": index} for p, name, index in every]

    def order(self, place: int = MIB, url: str = "", cast: int = 0) -> Order:
        """What a node makes of such a plan."""
        deployment = Deployment.fresh()
        content = self.plan(deployment, place, url, cast)
        return plan.read(content, bytes.fromhex(deployment.public_key))

    def plan(self, deployment: Deployment, place: int = MIB, url: str = "", cast: int = 0) -> bytes:
        """Signed, as a conductor would give it."""
        pieces = self.pieces(place, url)
        pieces[0] |= {"cast": cast} if cast else {}
        content = msgspec.json.encode({"version": 1, "pieces": pieces})
        return deployment.signed(content).hex().encode() + b"\n" + content


def told(_part: str, _done: int, _total: int) -> None:
    pass


def brought(disk: Path, order: Order) -> bytes:
    with BlockDevice(str(disk)) as device:
        pull(device, order, told)
    return disk.read_bytes()
