"""A raw image by one GET, hashed on the way: how ironic-python-agent writes one to a disk.

    python -m tests.bench.one_get URL DISK

ironic-python-agent, extensions/standby.py, `_stream_raw_image_onto_device`: requests, pieces of
1 MiB, a digest of all that came, fsync at the end.
"""

import hashlib
import os
import sys
from pathlib import Path

import requests

PIECE = 1 << 20
TIMEOUT_SECONDS = 60


def main() -> None:
    """Fetch and write."""
    digest = hashlib.sha256()
    with (
        requests.get(sys.argv[1], stream=True, timeout=TIMEOUT_SECONDS) as answer,
        Path(sys.argv[2]).open("r+b") as disk,
    ):
        answer.raise_for_status()
        for piece in answer.iter_content(PIECE):
            disk.write(piece)
            digest.update(piece)
        disk.flush()
        os.fsync(disk.fileno())


if __name__ == "__main__":
    main()
