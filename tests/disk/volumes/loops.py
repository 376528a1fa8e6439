"""Loop devices that real tools write to, and whose contents are packed as specimens; as root."""

import contextlib
import lzma
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bakery.host.run import run


@contextlib.contextmanager
def devices(folder: Path, size_bytes: int, *names: str) -> Iterator[list[str]]:
    """Empty ones; at the end their contents are packed in `folder` as NAME.xz (empty: dropped)."""
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        found = []
        for number, name in enumerate(names):
            path = Path(scratch) / str(number)
            with path.open("wb") as file:
                file.truncate(size_bytes)
            device = run(["losetup", "--find", "--show", path]).text.strip()
            if name:
                stack.callback(_pack, path, folder / f"{name}.xz")
            stack.callback(run, ["losetup", "--detach", device])
            found.append(device)
        yield found


def _pack(path: Path, packed: Path) -> None:
    packed.write_bytes(lzma.compress(path.read_bytes(), preset=9))
