"""A DHCP client of bytes, run on a client's machine: it sends datagrams, and prints the answers.

    python -m tests.netboot.dhcp_ask SECONDS ADDRESS:PORT HEX...

Each is sent there from the client's port; answers are printed until none has come for so many
seconds, one a line, in hex.
"""

import socket
import sys
from collections.abc import Sequence

from bakery.netboot.loop import SO_BINDTODEVICE


def main(seconds: float, to: str, datagrams: Sequence[bytes]) -> None:
    address, _, port = to.partition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, b"eth0\0")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.bind(("", 68))
        for datagram in datagrams:
            sock.sendto(datagram, (address, int(port)))
        sock.settimeout(seconds)
        try:
            while True:
                print(sock.recv(4096).hex(), flush=True)
        except TimeoutError:
            return


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2], [bytes.fromhex(word) for word in sys.argv[3:]])
