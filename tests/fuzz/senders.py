"""Who sends a server what no node would send, and asks it in between what a node would.

    python -m tests.fuzz.senders KIND COUNT SEED KEY TOKEN [PORT]

Run where the node is. It prints how many messages it has sent, a number a line, each time after
the server has answered a right question; it fails where that does not come.
"""

import contextlib
import json
import os
import random
import socket
import struct
import sys
import time
from abc import ABC, abstractmethod
from ipaddress import IPv4Address

from bakery.conductor import chap, iscsi
from bakery.netboot import dhcp_packet
from bakery.netboot.loop import SO_BINDTODEVICE
from bakery.node.agent import proof
from bakery.node.agent.notice import PORT, WORDS_LIMIT
from tests.conductor.targets import IQN
from tests.fuzz.mutate import mutated
from tests.fuzz.servers import ADDRESS, API_PORT, CLIENT, NODE, OPEN_FILE, SECRET_FILE
from tests.fuzz.wire import READ_REQUEST
from tests.netboot.wire import mac

ANSWER_SECONDS = 60.0
GIVEN_UP = b"\0\x05\0\0enough\0"
"""Ends a transfer, or the client's share would soon be taken."""
BETWEEN = 64
"""Messages before the next right question: they fit into what a socket keeps."""


class Sender(ABC):
    """One kind of messages. `key` and `token` are those of the node's try."""

    seeds: tuple[bytes, ...]

    def __init__(self, key: str, token: str) -> None:
        self.key, self.token = key, token

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Send a message; whatever comes back is dropped."""

    @abstractmethod
    def ask(self) -> None:
        """Ask as a node does; fails where the answer is not the right one."""


class Dhcp(Sender):
    """From the node's own card, and others'."""

    def __init__(self, key: str, token: str) -> None:
        super().__init__(key, token)
        kinds = (1, 3, 4, 7, 8)  # DISCOVER, REQUEST, DECLINE, RELEASE, INFORM
        self.seeds = tuple(_dhcp(kind, number) for kind in kinds for number in (1, 9))
        self.seeds += tuple(_dhcp(kind, 1, relay="192.168.88.77") for kind in kinds[:2])
        self._link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._link.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, b"eth0\0")
        self._link.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self._link.bind(("", 68))

    def send(self, data: bytes) -> None:
        self._link.sendto(data[:4096], ("255.255.255.255", 67))

    def ask(self) -> None:
        xid = int.from_bytes(os.urandom(4), "big")
        deadline = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < deadline:
            self.send(_dhcp(1, 1, xid))
            with contextlib.suppress(TimeoutError):
                while True:
                    self._link.settimeout(1)
                    with contextlib.suppress(dhcp_packet.BadPacket):
                        if dhcp_packet.parse(self._link.recv(4096)).xid == xid:
                            return
        raise AssertionError("DHCP: no offer")


def _dhcp(kind: int, number: int, xid: int = 7, relay: str = "") -> bytes:
    options = {53: bytes([kind]), 93: b"\0\0", 50: socket.inet_aton(CLIENT)}
    options |= {82: b"\x05\x04" + socket.inet_aton(relay)} if relay else {}
    hardware = bytes.fromhex(mac(number).replace(":", ""))
    packet = dhcp_packet.Packet(
        op=dhcp_packet.REQUEST,
        xid=xid,
        mac=hardware,
        options=options,
        giaddr=IPv4Address(relay or 0),
    )
    return dhcp_packet.encode(packet)


class Tftp(Sender):
    """Requests, and packets inside of transfers."""

    seeds = (
        READ_REQUEST,
        b"\0\x01boot\0octet\0blksize\x001024\0tsize\x000\0",
        b"\0\x04\0\0",
        b"\0\x05\0\x01no\0",
    )

    def send(self, data: bytes) -> None:
        with _datagrams() as link:
            if data[1:2] in (b"\x04", b"\x05"):
                link.sendto(_read(OPEN_FILE), (ADDRESS, 69))
                with contextlib.suppress(TimeoutError):
                    _, transfer = link.recvfrom(4096)
                    link.sendto(data[:1400], transfer)
                    link.sendto(GIVEN_UP, transfer)
            else:
                link.sendto(data[:1400], (ADDRESS, 69))

    def ask(self) -> None:
        content, number = b"", 1
        with _datagrams() as link:
            packet, to = _read(OPEN_FILE), (ADDRESS, 69)
            while True:
                data, to = _answered(link, packet, to, number)
                content += data
                packet = b"\0\x04" + number.to_bytes(2, "big")
                if len(data) < 512:
                    link.sendto(packet, to)
                    break
                number += 1
        assert content == bytes(3000)


def _read(name: str) -> bytes:
    return b"\0\x01" + name.encode() + b"\0octet\0"


@contextlib.contextmanager
def _datagrams():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(1)
        yield link


def _answered(link: socket.socket, packet: bytes, to: tuple[str, int], number: int):
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        link.sendto(packet, to)
        with contextlib.suppress(TimeoutError):
            while True:
                data, sender = link.recvfrom(4096)
                if data[:4] == b"\0\x03" + number.to_bytes(2, "big"):
                    return data[4:], sender
    raise AssertionError("TFTP: no answer")


class Connections(Sender):
    """Messages of which each has a connection of its own."""

    port: int

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # it may close at any byte
            self.talk(data)

    def talk(self, data: bytes) -> bytes:
        """All that is answered, until the other end closes."""
        with socket.create_connection((self.address, self.port), ANSWER_SECONDS) as link:
            link.sendall(data)
            link.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := link.recv(65536):
                answer += piece
            return answer

    address = ADDRESS


class Http(Connections):
    """Files, and whatever else a request may be."""

    port = API_PORT

    def __init__(self, key: str, token: str) -> None:
        super().__init__(key, token)
        head = f"Host: {ADDRESS}:{API_PORT}\r\nX-Auth-Token: {token}\r\n"
        self.seeds = (
            f"GET /{OPEN_FILE} HTTP/1.1\r\n{head}Range: bytes=9-2000\r\n\r\n".encode(),
            f'HEAD /{SECRET_FILE} HTTP/1.1\r\n{head}If-None-Match: W/"a", *\r\n\r\n'.encode(),
            f"POST {_path('pass_deploy_info')} HTTP/1.1\r\n{head}Expect: 100-continue\r\n"
            "Content-Length: 2\r\n\r\n{}GET / HTTP/1.1\r\n\r\n".encode(),
        )

    def ask(self) -> None:
        asked = f"GET /{SECRET_FILE} HTTP/1.1\r\nX-Auth-Token: {self.token}\r\n\r\n"
        assert self.talk(asked.encode()).endswith(b"\r\n\r\nsecret of a try")


class Api(Connections):
    """The calls of a ramdisk: a right head, and any body."""

    port = API_PORT

    def __init__(self, key: str, token: str) -> None:
        super().__init__(key, token)
        self._calls = {
            json.dumps({"key": key, "address": CLIENT} | body).encode(): call
            for call, body in (
                ("pass_deploy_info", {"iqn": IQN, "error": "", "chap": "both"}),
                ("pass_bootloader_install_info", {"status": "SUCCEEDED", "error": ""}),
                ("pass_deploy_progress", {"part": "writing", "done": "1", "total": "2"}),
                ("pass_deploy_done", {}),
                (
                    "get_deploy_plan",
                    {"disk_bytes": "1073741824", "public_key": "ab" * 32},
                ),
            )
        }
        self.seeds = tuple(self._calls)
        self._turn = 0

    def send(self, data: bytes) -> None:
        self._turn += 1
        super().send(self._request(data, list(self._calls.values())[self._turn % 5]))

    def ask(self) -> None:
        body, call = next(iter(self._calls.items()))
        assert self.talk(self._request(body, call)).startswith(b"HTTP/1.1 202 ")

    def _request(self, body: bytes, call: str) -> bytes:
        head = f"POST {_path(call)} HTTP/1.1\r\nX-Auth-Token: {self.token}\r\nConnection: close\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _path(call: str) -> str:
    return f"/v1/nodes/{NODE}/vendor_passthru/{call}"


class Word(Connections):
    """Port 10000 of a node."""

    port = PORT

    def __init__(self, key: str, token: str) -> None:
        super().__init__(key, token)
        self.seeds = (proof.word(key).encode() + b"\n", b"done\n")

    def send(self, data: bytes) -> None:
        if data[:WORDS_LIMIT].decode("ascii", "replace").strip() != proof.word(self.key):
            super().send(data)

    def ask(self) -> None:
        assert self.talk(self.seeds[0]) == b""


class Login(Connections):
    """A target's login phase; RFC 7143, 11.12."""

    address = "127.0.0.1"

    def __init__(self, key: str, token: str, port: int) -> None:
        super().__init__(key, token)
        self.port = port
        words = (
            f"InitiatorName={iscsi.INITIATOR}\0TargetName={IQN}\0SessionType=Normal\0AuthMethod=CHAP\0",
            "CHAP_A=5\0",
            f"CHAP_N=conductor\0CHAP_R=0x{'5a' * 16}\0CHAP_I=1\0CHAP_C=0x{'5a' * 16}\0",
        )
        steps = [
            _login(text.encode(), flags) for text, flags in zip(words, (0, 0, 0x81), strict=True)
        ]
        self.seeds = (steps[0], b"".join(steps[:2]), b"".join(steps))

    def ask(self) -> None:
        place = (self.address, self.port)
        chap.check(place, IQN, iscsi.INITIATOR, proof.chap(self.key), ANSWER_SECONDS)


def _login(text: bytes, flags: int) -> bytes:
    head = struct.pack(">BBBBI6sH", chap.LOGIN, flags, 0, 0, len(text), b"\x80" + bytes(5), 0)
    return head.ljust(chap.HEADER_BYTES, b"\0") + text + b"\0" * (-len(text) % 4)


KINDS = {"dhcp": Dhcp, "tftp": Tftp, "http": Http, "api": Api, "word": Word, "iscsi": Login}


def main(kind: str, count: int, seed: int, key: str, token: str, *port: str) -> None:
    """Send so many, and tell."""
    sender = KINDS[kind](key, token, *map(int, port))
    chance = random.Random(seed)
    sender.ask()
    for number in range(1, count + 1):
        sender.send(mutated(chance.choice(sender.seeds), chance))
        if number % BETWEEN == 0 or number == count:
            sender.ask()
            print(number, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
