"""What lies between a client and a BMC: answers get lost, come late or twice, or are others."""

import socket
import struct
import threading
import time
from collections.abc import Callable

PLACE = "127.0.0.1"
OPEN_REQUEST, OPEN_ANSWER, RAKP2, RAKP4 = 0x10, 0x11, 0x13, 0x15
IPMI_1_5 = -1
LIMIT_BYTES = 4096


def payload(packet: bytes) -> int:
    """The payload's type (IPMI v2.0, 13.27.3), IPMI_1_5 for what is in no RMCP+ packet."""
    return packet[5] & 0x3F if packet[4] == 6 else IPMI_1_5


def refusal(request: bytes, status: int) -> bytes:
    """An Open Session response with a status code, to such a request (13.18)."""
    body = bytes([request[16], status, 0, 0]) + request[20:24]
    head = bytes([6, 0, 0xFF, 7, 6, OPEN_ANSWER]) + bytes(8)
    return head + struct.pack("<H", len(body)) + body


class Wire:
    """A port that stands for a BMC's: `back` makes of each answer those that arrive.

    `front` may answer a client's packet itself. `counts` is how often each payload was sent to
    the BMC.
    """

    def __init__(
        self,
        bmc_port: int,
        back: Callable[[bytes], list[bytes]] = lambda packet: [packet],
        front: Callable[[bytes], bytes | None] = lambda _packet: None,
    ) -> None:
        self._back, self._front, self._bmc = back, front, (PLACE, bmc_port)
        self._ours = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._ours.bind((PLACE, 0))
        self.port: int = self._ours.getsockname()[1]
        self.counts: dict[int, int] = {}
        self._links: dict[tuple[str, int], socket.socket] = {}
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            packet, client = self._ours.recvfrom(LIMIT_BYTES)
            kind = payload(packet)
            self.counts[kind] = self.counts.get(kind, 0) + 1
            if answer := self._front(packet):
                self._ours.sendto(answer, client)
                continue
            self._link(client).send(packet)

    def _link(self, client: tuple[str, int]) -> socket.socket:
        if client not in self._links:
            link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            link.connect(self._bmc)
            self._links[client] = link
            threading.Thread(target=self._bring, args=(link, client), daemon=True).start()
        return self._links[client]

    def _bring(self, link: socket.socket, client: tuple[str, int]) -> None:
        while True:
            for packet in self._back(link.recv(LIMIT_BYTES)):
                self._ours.sendto(packet, client)


def late(kind: int, seconds: float) -> Callable[[bytes], list[bytes]]:
    """Answers of that kind come so much later, one after the other."""

    def back(packet: bytes) -> list[bytes]:
        if payload(packet) == kind:
            time.sleep(seconds)
        return [packet]

    return back


def lost(kind: int, count: int) -> Callable[[bytes], list[bytes]]:
    """The first answers of that kind never come."""
    left = [count]

    def back(packet: bytes) -> list[bytes]:
        if payload(packet) == kind and left[0]:
            left[0] -= 1
            return []
        return [packet]

    return back
