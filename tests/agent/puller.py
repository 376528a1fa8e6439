"""A node's half of the direct method in a process of its own, which can be killed.

    python -m tests.agent.puller PLAN PUBLIC_KEY DISK [INTERFACE]

It tells nobody how far it is.
"""

import sys
from pathlib import Path

from bakery.agent import plan
from bakery.agent.disk import BlockDevice
from bakery.agent.pull import pull


def main() -> None:
    """Bring what the plan says to the disk."""
    path, key, disk, *interface = sys.argv[1:]
    order = plan.read(Path(path).read_bytes(), bytes.fromhex(key))
    with BlockDevice(disk) as device:
        pull(device, order, lambda *_told: None, *interface)


if __name__ == "__main__":
    main()
