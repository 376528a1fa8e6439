"""A small file by TFTP (RFC 1350, octet mode): the token of a deployment."""

import socket
import struct

from .errors import AgentError

PORT = 69
BLOCK = 512
READ, DATA, ACK, ERROR = 1, 3, 4, 5
RETRIES = 5
SILENCE_SECONDS = 2.0
STRAY_LIMIT = 64  # packets of others that are looked at while one is waited for


def fetch(
    server: str, name: str, limit: int, port: int = PORT, silence: float = SILENCE_SECONDS
) -> bytes:
    """The content of the file `name`, at most `limit` bytes; AgentError where it is not given.

    After `silence` seconds without an answer it is asked for again.
    """
    content = bytearray()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(silence)
        request = struct.pack("!H", READ) + name.encode("ascii") + b"\0octet\0"
        peer = (server, port)
        for block in range(1, limit // BLOCK + 2):
            data, peer = _ask(link, request, peer, block, name)
            content += data
            if len(content) > limit:
                break
            request = struct.pack("!HH", ACK, block)
            if len(data) < BLOCK:
                link.sendto(request, peer)
                return bytes(content)
    raise AgentError(f"the file {name} on {server} is longer than {limit} bytes")


def _ask(
    link: socket.socket, request: bytes, peer: tuple[str, int], block: int, name: str
) -> tuple[bytes, tuple[str, int]]:
    """Send `request` until the answer is block `block`; its data, and who sent it."""
    for _ in range(RETRIES):
        try:
            link.sendto(request, peer)
            answer = _receive(link, peer, block, name)
        except TimeoutError:
            continue
        except OSError as error:
            raise AgentError(f"TFTP from {peer[0]}: {error.strerror or error}") from None
        if answer:
            return answer
    raise AgentError(f"TFTP from {peer[0]}: no answer for {name}")


def _receive(
    link: socket.socket, peer: tuple[str, int], block: int, name: str
) -> tuple[bytes, tuple[str, int]] | None:
    for _ in range(STRAY_LIMIT):
        packet, sender = link.recvfrom(4 + BLOCK)
        # The server answers the request from a port of its own, and keeps to that (section 4).
        if sender[0] != peer[0] or (block > 1 and sender[1] != peer[1]) or len(packet) < 4:
            continue
        kind, number = struct.unpack("!HH", packet[:4])
        if kind == ERROR:
            words = packet[4:].split(b"\0")[0].decode("ascii", "replace")
            raise AgentError(f"TFTP from {peer[0]}: {name}: {words or f'error {number}'}")
        if (kind, number) == (DATA, block):
            return packet[4:], sender
    return None
