"""A node's half of the direct method in a process of its own, which can be killed.

    python -m tests.node.agent.puller WRITE-LIST PUBLIC_KEY DISK [INTERFACE]

It tells nobody how far it is.
"""

import sys
from pathlib import Path

from bakery.node.agent import signed_list
from bakery.node.agent.disk import BlockDevice
from bakery.node.agent.pull import pull

HERE = signed_list.Here("", 0)


def main() -> None:
    """Bring what the list says to the disk."""
    path, key, disk, *interface = sys.argv[1:]
    write_list = signed_list.read(Path(path).read_bytes(), bytes.fromhex(key), HERE)
    with BlockDevice(disk) as device:
        pull(device, write_list, lambda *_told: None, "".join(interface))


if __name__ == "__main__":
    main()
