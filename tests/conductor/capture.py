"""A capture of the wire, by tcpdump, and what a deploy is to look like on it.

Of iSCSI only those segments are kept that can begin a login, a command, or a logout; the rest is
the disk's content.
"""

import contextlib
import re
import signal
import socket
import struct
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bakery.lab import state

SNAP_BYTES = 2048
BUFFER_KIB = 65536
ISCSI, AGENT, API, TFTP, BOOTPC = 3260, 10000, 6385, 69, 68
RRQ, DATA = 1, 3  # RFC 1350, 5
ETHERNET_BYTES = 14
IPV4, TCP, UDP = b"\x08\x00", 6, 17
SYN, ACK = 0x02, 0x10

# RFC 7143, 11.2.1.2: initiator opcodes, the immediate bit left out.
COMMAND, LOGIN, LOGOUT = 0x01, 0x03, 0x06
BHS_BYTES = 48
WRITES = {0x2A: "write", 0x8A: "write", 0x41: "zero", 0x93: "zero", 0x42: "zero"}  # SBC-3
PAYLOAD = "tcp[((tcp[12:1] & 0xf0) >> 2):1] & 0x3f"
FILTER = (
    f"not tcp port {ISCSI} or tcp[tcpflags] & (tcp-syn | tcp-fin) != 0 "
    f"or {PAYLOAD} = {COMMAND} or {PAYLOAD} = {LOGIN} or {PAYLOAD} = {LOGOUT}"
)


@dataclass(frozen=True)
class Packet:
    """One TCP or UDP packet; addresses are (IPv4, port)."""

    at: float
    source: tuple[str, int]
    target: tuple[str, int]
    flags: int
    sequence: int
    payload: bytes


@contextlib.contextmanager
def captured(folder: Path, file: Path) -> Iterator[None]:
    """What passes on the network of the lab in `folder` is in `file` after the block."""
    lab = state.load(folder)
    words: list[str | Path] = ["tcpdump", "-i", lab.interface, "-w", file, "-U", "-n", "-Z", "root"]
    words += ["-s", str(SNAP_BYTES), "-B", str(BUFFER_KIB), FILTER]
    with subprocess.Popen(lab.enter(words), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "listening on" in (said := process.stderr.readline()), said
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        assert "0 packets dropped by kernel" in said, said


def packets(file: Path) -> Iterator[Packet]:
    """The packets of a capture (pcap-savefile(5), little-endian, microseconds)."""
    content = file.read_bytes()
    magic, link = content[:4], struct.unpack_from("<I", content, 20)[0]
    assert (magic, link) == (b"\xd4\xc3\xb2\xa1", 1), "Ethernet is expected"
    at = 24
    while at < len(content):
        seconds, micros, length, _ = struct.unpack_from("<IIII", content, at)
        frame = content[at + 16 : at + 16 + length]
        at += 16 + length
        if frame[12:14] == IPV4:
            yield from _ip(seconds + micros / 1e6, frame[ETHERNET_BYTES:])


def _ip(when: float, packet: bytes) -> Iterator[Packet]:
    protocol = packet[9]
    source, target = (socket.inet_ntoa(packet[at : at + 4]) for at in (12, 16))
    length = struct.unpack_from(">H", packet, 2)[0] or len(packet)  # 0: larger than can be said
    body = packet[(packet[0] & 15) * 4 : length]
    if protocol not in (TCP, UDP):
        return
    ports = struct.unpack_from(">HH", body)
    flags = sequence = 0
    payload = body[8:]
    if protocol == TCP:
        sequence, flags = struct.unpack_from(">I", body, 4)[0], body[13]
        payload = body[(body[12] >> 4) * 4 :]
    yield Packet(when, (source, ports[0]), (target, ports[1]), flags, sequence, payload)


def steps(seen: Sequence[Packet]) -> Iterator[tuple[str, Packet]]:
    """What each packet means to a deploy, in order, for those that mean something."""
    for packet in seen:
        port, payload = packet.target[1], packet.payload
        if BOOTPC in (port, packet.source[1]):
            yield _dhcp(payload), packet
        elif port == TFTP and payload[:2] == struct.pack(">H", RRQ):
            yield f"RRQ {_name(payload)}", packet
        elif port == API and payload.startswith(b"POST "):
            yield payload.split(b" HTTP/")[0].decode(), packet
        elif port == ISCSI and payload:
            yield from ((step, packet) for step in _iscsi(payload))
        elif port == AGENT and packet.flags & (SYN | ACK) == SYN:
            yield "connect to 10000", packet
        elif port == AGENT and payload:
            yield f"say {payload.decode().split()[0]}", packet


def _dhcp(message: bytes) -> str:
    """Its type: option 53 (RFC 2132, 9.6) in what follows the fixed fields and the cookie."""
    at = 240
    while message[at] != 53:
        at += 1 if message[at] == 0 else 2 + message[at + 1]
    return "DHCP" + ("", "DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK")[message[at + 2]]


def _name(request: bytes) -> str:
    return request[2:].split(b"\0")[0].decode()


def _iscsi(payload: bytes) -> Iterator[str]:
    """What an initiator's segment begins with, where that is beyond doubt."""
    opcode, lun = payload[0] & 0x3F, payload[8:16]
    if opcode == LOGIN and b"TargetName=" in payload:
        yield "iSCSI login " + re.search(rb"TargetName=([^\0]+)", payload)[1].decode()  # type: ignore[index]
    elif opcode == LOGOUT and len(payload) == BHS_BYTES:
        yield "iSCSI logout"
    elif opcode == COMMAND and lun == b"\x00\x01" + bytes(6) and payload[32] in WRITES:
        yield f"iSCSI {WRITES[payload[32]]}"


def file_sent(seen: Sequence[Packet], request: Packet) -> bytes:
    """What a TFTP read request was answered with (RFC 1350: blocks from a port of their own)."""
    blocks: dict[int, bytes] = {}
    sender = None
    for packet in seen[seen.index(request) :]:
        if packet.target == request.source and sender in (None, packet.source):
            sender = packet.source
            if packet.payload[:2] == struct.pack(">H", DATA):
                blocks[struct.unpack_from(">H", packet.payload, 2)[0]] = packet.payload[4:]
    return b"".join(blocks[number] for number in sorted(blocks))


def stream(seen: Sequence[Packet], first: Packet) -> bytes:
    """All that one side of a TCP connection said, from `first` on."""
    same = {
        packet.sequence: packet.payload
        for packet in seen
        if (packet.source, packet.target) == (first.source, first.target)
        and packet.sequence >= first.sequence
    }
    return b"".join(same[sequence] for sequence in sorted(same))
