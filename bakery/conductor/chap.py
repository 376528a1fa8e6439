"""That a target is the node's: the login phase of iSCSI, both ends proving that they know a secret.

qemu's initiator proves its own end alone, so the node's is made to before it. RFC 7143: login PDUs
in 11.12 and 11.13, CHAP in 12.1.3, its values in 6.1; RFC 1994 has the hash.
"""

import contextlib
import hashlib
import os
import socket
import struct
import time
from collections.abc import Mapping

from bakery.conductor.disk_errors import DiskFailed
from bakery.host.printable import shown
from bakery.node.agent import proof

HEADER_BYTES = 48
LOGIN, LOGIN_ANSWER = 0x43, 0x23
OPERATIONAL_NEXT = 0x01  # from security negotiation (0) to operational (1)
TRANSIT = 0x80
TEXT_LIMIT_BYTES = 8192
CHALLENGE_BYTES = 16
MD5 = "5"


def check(
    place: tuple[str, int], iqn: str, initiator: str, secrets: proof.Chap, seconds: float
) -> None:
    """Raise DiskFailed unless the target at `place` knows the node's secret, within `seconds`."""
    try:
        with contextlib.closing(socket.create_connection(place, timeout=seconds)) as link:
            _check(_Login(link, time.monotonic() + seconds), iqn, initiator, secrets)
    except (OSError, ValueError, KeyError) as error:
        raise DiskFailed(
            f"the target at {place[0]}:{place[1]} does not prove that it is the node's: "
            f"{shown(str(error))}"
        ) from error


def _check(login: "_Login", iqn: str, initiator: str, secrets: proof.Chap) -> None:
    told = login.say(
        InitiatorName=initiator, TargetName=iqn, SessionType="Normal", AuthMethod="CHAP"
    )
    if told.get("AuthMethod") != "CHAP":
        raise ValueError("it wants no CHAP")
    told = login.say(CHAP_A=MD5)
    if told.get("CHAP_A") != MD5:
        raise ValueError("it has another hash")
    answer = _hash(int(told["CHAP_I"]), secrets.conductor, _bytes(told["CHAP_C"]))
    number, challenge = os.urandom(1)[0], os.urandom(CHALLENGE_BYTES)
    told = login.say(
        flags=TRANSIT | OPERATIONAL_NEXT,
        CHAP_N=proof.INITIATOR,
        CHAP_R="0x" + answer.hex(),
        CHAP_I=str(number),
        CHAP_C="0x" + challenge.hex(),
    )
    known = _hash(number, secrets.node, challenge)
    if not proof.same(_bytes(told["CHAP_R"]).hex(), known.hex()):
        raise ValueError("it does not know the secret")


class _Login:
    """The requests of a login and their answers; ValueError for what is none."""

    def __init__(self, link: socket.socket, deadline: float) -> None:
        self._link, self._deadline = link, deadline
        self._session = os.urandom(3)

    def say(self, *, flags: int = 0, **words: str) -> Mapping[str, str]:
        """One request; the keys of the answer."""
        text = "".join(f"{key}={value}\0" for key, value in words.items()).encode("ascii")
        isid = b"\x80" + self._session + b"\0\0"  # 0x80: made at random
        head = struct.pack(">BBBBI6sH", LOGIN, flags, 0, 0, len(text), isid, 0)
        self._link.sendall(head.ljust(HEADER_BYTES, b"\0") + text + b"\0" * (-len(text) % 4))
        answer = self._exactly(HEADER_BYTES)
        kind, _, _, _, length = struct.unpack_from(">BBBBI", answer)
        if kind != LOGIN_ANSWER or length > TEXT_LIMIT_BYTES:
            raise ValueError("it does not answer a login")
        if answer[36]:
            raise ValueError(f"it refuses the login: status {answer[36:38].hex()}")
        told = self._exactly(length + -length % 4)[:length].decode("ascii").split("\0")
        return {key: value for key, _, value in (word.partition("=") for word in told if word)}

    def _exactly(self, count: int) -> bytes:
        content = b""
        while len(content) < count:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("it takes too long")
            self._link.settimeout(left)
            piece = self._link.recv(count - len(content))
            if not piece:
                raise ConnectionError("it ended the connection")
            content += piece
        return content


def _hash(number: int, secret: str, challenge: bytes) -> bytes:
    content = bytes([number & 0xFF]) + secret.encode() + challenge
    return hashlib.md5(content, usedforsecurity=False).digest()


def _bytes(text: str) -> bytes:
    """A binary value as it is written: hexadecimal behind 0x (base64 is not met with)."""
    if not text.lower().startswith("0x"):
        raise ValueError("a value that is not hexadecimal")
    return bytes.fromhex(text[2:])
