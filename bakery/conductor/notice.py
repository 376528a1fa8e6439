"""The word that lets a node's ramdisk go on: a connection to its port 10000 that says it.

It begins with `done`; node/agent/proof.py makes it of the deployment key.
"""

import socket

from bakery.host.errors import BakeryError

PORT = 10000
CONNECT_SECONDS = 10.0


def release(address: str, word: str, port: int = PORT, seconds: float = CONNECT_SECONDS) -> None:
    """Tell the ramdisk at `address` that its disk is written; it then restarts the node.

    Raises BakeryError where nobody listens there.
    """
    try:
        with socket.create_connection((address, port), timeout=seconds) as link:
            link.sendall(word.encode() + b"\n")
    except OSError as error:
        reason = error.strerror or f"no answer within {seconds:g} s"
        raise BakeryError(
            f"the ramdisk does not listen at {address} port {port}: {reason}"
        ) from error
