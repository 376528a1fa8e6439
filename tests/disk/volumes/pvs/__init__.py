"""Physical volumes as LVM2's own tools write them, packed; `make.py` makes them anew."""

import functools
import lzma
from pathlib import Path

HERE = Path(__file__).parent
SIZE_BYTES = 16 << 20
SLACK_BYTES = 64 << 10


@functools.cache
def load(name: str) -> bytes:
    """A volume of SIZE_BYTES, from its start to where nothing but zeros follows."""
    whole = lzma.decompress((HERE / f"{name}.xz").read_bytes())
    return whole.rstrip(b"\0") + bytes(SLACK_BYTES)
