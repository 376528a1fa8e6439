"""A node's half of the direct method in a process of its own, which can be killed.

python -m tests.agent.puller PLAN PUBLIC_KEY DISK
"""

import sys
from pathlib import Path

from bakery.agent import plan
from tests.agent.served import brought

if __name__ == "__main__":
    order = plan.read(Path(sys.argv[1]).read_bytes(), bytes.fromhex(sys.argv[2]))
    brought(Path(sys.argv[3]), order)
