"""What the stranger does, a kind each: it says what it met, and fails at nothing.

An attack takes the host that it is made from and a node; what it returns is counted. Whatever is
received in its course is in the host's record, and judged by the test.
"""

import contextlib
import http.client
import json
import os
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator

from bakery.conductor import chap
from bakery.conductor.disk_errors import DiskFailed
from bakery.node.agent import exchange, proof
from tests.hostile.stranger import frames
from tests.hostile.stranger.known import (
    ADDRESS,
    API_PORT,
    FIRST_LEASED,
    INTERFACE,
    MAC,
    SERVER,
    Victim,
)

Attack = Callable[[Victim], str]
KINDS: dict[str, Attack] = {}
SECONDS = 3.0
HELD_SECONDS = 4.0
TFTP, DHCP_SERVER, DHCP_CLIENT, ISCSI, NOTICE, CAST, BMC = 69, 67, 68, 3260, 10000, 9000, 6231
TRAVERSALS = (
    "../../etc/shadow",
    "..%2f..%2fetc/shadow",
    "/etc/shadow",
    "C:\\boot.ini",
    "pxelinux.0\0/x",
)
SCOPED = "fe80::1%x,driver=qcow2,file.filename=/etc/shadow"
PUBLIC = "pxelinux.0"
# RFC 7143: opcodes with the bit for at once, and what a request says of the stage that follows.
LOGIN, TEXT, FULL_FEATURE, FINAL = 0x43, 0x44, 0x87, 0x80


def kind(attack: Attack) -> Attack:
    """Register an attack by its name."""
    KINDS[attack.__name__] = attack
    return attack


# DHCP ---------------------------------------------------------------------------------------


def send(*packets: bytes) -> str:
    """Frames as they are, onto the wire."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
        link.bind((INTERFACE, 0))
        for packet in packets:
            link.send(packet)
    return "sent"


def message(number: int, client: str, *options: tuple[int, bytes], own: str = "0.0.0.0") -> bytes:
    content = frames.dhcp(number, client, *options, own=own)
    ports = (own, DHCP_CLIENT), ("255.255.255.255", DHCP_SERVER)
    return frames.udp(frames.mac_bytes(MAC), *ports, content)


def leased(offset: int) -> bytes:
    return socket.inet_aton(FIRST_LEASED[:-3] + str(128 + offset))


@kind
def dhcp_discover_of_an_unknown_card(_victim: Victim) -> str:
    return send(message(frames.DISCOVER, MAC, (93, b"\0\0")))


@kind
def dhcp_addresses_for_many_cards(_victim: Victim) -> str:
    cards = [f"02:00:00:{n:02x}:{random.randrange(256):02x}:01" for n in range(40)]
    return send(*(message(frames.DISCOVER, card, (93, b"\0\0")) for card in cards))


@kind
def dhcp_decline_of_the_nodes_address_in_its_name(victim: Victim) -> str:
    own = (54, socket.inet_aton(SERVER))
    every = [(50, leased(offset)) for offset in range(8)]
    return send(*(message(frames.DECLINE, victim.mac, one, own) for one in every))


@kind
def dhcp_decline_of_all_addresses(_victim: Victim) -> str:
    own = (54, socket.inet_aton(SERVER))
    return send(*(message(frames.DECLINE, MAC, (50, leased(n)), own) for n in range(120)))


@kind
def dhcp_release_in_the_nodes_name(victim: Victim) -> str:
    own = (54, socket.inet_aton(SERVER))
    return send(message(frames.RELEASE, victim.mac, own, own=victim.address))


@kind
def dhcp_request_of_the_nodes_address_for_another_card(victim: Victim) -> str:
    wanted = (50, socket.inet_aton(victim.address)), (54, socket.inet_aton(SERVER))
    return send(message(frames.REQUEST, MAC, *wanted))


@kind
def dhcp_discover_in_the_nodes_name(victim: Victim) -> str:
    return send(message(frames.DISCOVER, victim.mac, (93, b"\0\0"), (50, leased(72))))


@kind
def dhcp_request_of_another_address_in_the_nodes_name(victim: Victim) -> str:
    wanted = (50, leased(72)), (54, socket.inet_aton(SERVER)), (93, b"\0\0")
    return send(message(frames.REQUEST, victim.mac, *wanted))


@kind
def dhcp_messages_that_are_none(_victim: Victim) -> str:
    whole = frames.dhcp(frames.DISCOVER, MAC)
    torn = [whole[:n] for n in (0, 1, 44, 236, 240)] + [whole[:-1] + b"\x35\xff", os.urandom(300)]
    ports = ("0.0.0.0", DHCP_CLIENT), ("255.255.255.255", DHCP_SERVER)
    return send(*(frames.udp(frames.mac_bytes(MAC), *ports, content) for content in torn))


@kind
def arp_announcements_of_its_own_address(_victim: Victim) -> str:
    return send(*[frames.announcement(frames.mac_bytes(MAC), ADDRESS)] * 5)


# TFTP ---------------------------------------------------------------------------------------


def tftp(content: bytes, seconds: float = SECONDS) -> str:
    """One packet to the server; what comes back."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(seconds)
        link.sendto(content, (SERVER, TFTP))
        try:
            answer = link.recv(2048)
        except TimeoutError:
            return "nothing"
    number = struct.unpack(">H", answer[:2])[0] if len(answer) > 1 else 0
    return {3: "DATA", 5: f"error {answer[3:4].hex()}", 6: "OACK"}.get(number, "?")


def rrq(name: str) -> bytes:
    return b"\0\1" + name.encode("latin-1") + b"\0octet\0"


@kind
def tftp_of_a_nodes_files(victim: Victim) -> str:
    return " ".join(sorted({tftp(rrq(name)) for name in victim.names}))


@kind
def tftp_of_files_outside(_victim: Victim) -> str:
    return " ".join(sorted({tftp(rrq(name)) for name in TRAVERSALS}))


@kind
def tftp_writes_and_nonsense(victim: Victim) -> str:
    words = [
        b"\0\2" + f"token-{victim.uuid}".encode() + b"\0octet\0",
        b"\0\1" + b"x" * 3000,
        b"\0\1a\0octet\0blksize\x0099999999999\0",
        b"\0\4\0\1",
        os.urandom(600),
        b"",
    ]
    return " ".join(sorted({tftp(word, 0.3) for word in words}))


@kind
def tftp_transfers_held(_victim: Victim) -> str:
    """All places of the server, and never an acknowledgement."""
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            link = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            link.sendto(rrq(PUBLIC), (SERVER, TFTP))
        time.sleep(HELD_SECONDS)
    return "held"


# HTTP ---------------------------------------------------------------------------------------


def connected(port: int = API_PORT, host: str = SERVER) -> socket.socket:
    return socket.create_connection((host, port), timeout=SECONDS)


def asked(method: str, path: str, body: bytes = b"", token: str = "", part: str = "") -> int:
    """The status of a request."""
    link = http.client.HTTPConnection(SERVER, API_PORT, timeout=SECONDS * 3)
    with contextlib.closing(link):
        more = {"X-Auth-Token": token} if token else {}
        more |= {"Range": part} if part else {}
        link.request(method, path, body or None, more)
        return link.getresponse().status


def statuses(every: Iterator[int]) -> str:
    return " ".join(map(str, sorted(set(every))))


def raw(content: bytes) -> str:
    """Bytes to the server; how its answer begins."""
    with connected() as link:
        link.sendall(content)
        return link.recv(12).decode("latin-1")


@kind
def http_of_a_nodes_files(victim: Victim) -> str:
    return statuses(asked("GET", f"/{name}") for name in victim.names)


@kind
def http_of_a_nodes_files_with_its_token(victim: Victim) -> str:
    return statuses(asked("GET", f"/{name}", token=victim.token) for name in victim.names)


@kind
def http_of_frames_by_ranges_with_the_token(victim: Victim) -> str:
    names = [name for name in victim.names if "frames" in name]
    part = "bytes=0-4194303"
    return statuses(asked("GET", f"/{name}", token=victim.token, part=part) for name in names)


@kind
def http_of_files_outside(_victim: Victim) -> str:
    return statuses(asked("GET", f"/{name}") for name in TRAVERSALS if "\0" not in name)


@kind
def http_places_held(_victim: Victim) -> str:
    """As many connections as there could be, none of which asks anything."""
    with contextlib.ExitStack() as stack:
        count = 0
        for _ in range(64):
            with contextlib.suppress(OSError):
                stack.enter_context(connected())
                count += 1
        time.sleep(HELD_SECONDS)
    return "held"


@kind
def http_bodies_that_drip(victim: Victim) -> str:
    with contextlib.ExitStack() as stack:
        links = [stack.enter_context(connected()) for _ in range(4)]
        path = f"/v1/nodes/{victim.uuid}/vendor_passthru/pass_deploy_info"
        for link in links:
            link.sendall(
                f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n".encode()
            )
        end = time.monotonic() + HELD_SECONDS
        while time.monotonic() < end:
            time.sleep(0.5)
            for link in links:
                link.sendall(b"{")
    return "held"


@kind
def http_bodies_too_large(victim: Victim) -> str:
    path = f"/v1/nodes/{victim.uuid}/vendor_passthru/pass_deploy_info"
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {1 << 40}\r\n\r\n"
    return raw(head.encode() + b"{" * 100_000)


@kind
def http_that_is_none(_victim: Victim) -> str:
    heads = b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 70_000 + b"\r\n\r\n"
    lies = b"GET / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"
    odd = b"TRACE / HTTP/1.1\r\n\r\n", b"CONNECT 192.168.77.128:3260 HTTP/1.1\r\n\r\n"
    met = set()
    for content in (heads, lies, *odd, os.urandom(2000), b"\r\n\r\n"):
        with contextlib.suppress(OSError):
            met.add(raw(content)[9:])
    return " ".join(sorted(met))


# The calls of a node, in its name -----------------------------------------------------------


def call(victim: Victim, name: str, body: object, token: str | None = None) -> int:
    path = f"/v1/nodes/{victim.uuid}/vendor_passthru/{name}"
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return asked("POST", path, content, victim.token if token is None else token)


def called(victim: Victim, name: str, **body: str) -> str:
    """A call with all secrets of the try, from the stranger's and in the node's address."""
    every = ({"key": victim.key, "address": at} | body for at in (ADDRESS, victim.address, SCOPED))
    return statuses(call(victim, name, told) for told in every)


@kind
def call_that_the_disk_is_ready(victim: Victim) -> str:
    return called(victim, "pass_deploy_info", iqn=victim.iqn, error="", chap="both")


@kind
def call_that_the_disk_is_ready_without_chap(victim: Victim) -> str:
    return called(victim, "pass_deploy_info", iqn=victim.iqn, error="")


@kind
def call_that_the_node_gives_up(victim: Victim) -> str:
    return called(victim, "pass_deploy_info", iqn=victim.iqn, error="disk on fire")


@kind
def call_for_the_write_list(victim: Victim) -> str:
    own = exchange.Exchange().public.hex()
    return called(victim, "get_deploy_plan", disk_bytes="10737418240", public_key=own)


@kind
def call_of_progress(victim: Victim) -> str:
    return called(victim, "pass_deploy_progress", part="verifying", done="1", total="1")


@kind
def call_that_the_disk_is_written(victim: Victim) -> str:
    return called(victim, "pass_deploy_done")


@kind
def call_of_a_boot_loader(victim: Victim) -> str:
    return called(victim, "pass_bootloader_install_info", status="SUCCEEDED")


@kind
def calls_with_secrets_that_are_guessed(victim: Victim) -> str:
    body = {"key": "0" * 32, "address": ADDRESS, "iqn": victim.iqn, "error": ""}
    tokens = ("", "0" * 64, "x" * 5000)
    return statuses(call(victim, "pass_deploy_info", body, token) for token in tokens)


@kind
def calls_that_cannot_be_read(victim: Victim) -> str:
    bodies = (b"", b"null", b"[" * 60_000, b'{"key": 1}', os.urandom(500), b"\xff\xfe{}")
    return statuses(call(victim, "pass_deploy_info", body) for body in bodies)


@kind
def calls_for_a_node_that_is_none(victim: Victim) -> str:
    names = ("00000000-0000-0000-0000-000000000000", "x", "../" + victim.uuid, "%2e%2e")
    return statuses(call(victim._replace(uuid=name), "pass_deploy_done", {}) for name in names)


# The node's own ports -----------------------------------------------------------------------


def login(victim: Victim, secrets: proof.Chap) -> str:
    """Whether the node's target takes this one for the conductor."""
    try:
        chap.check(
            (victim.address, ISCSI),
            victim.iqn,
            "iqn.2008-10.org.openstack:bakery",
            secrets,
            SECONDS,
        )
    except DiskFailed as error:
        if "refuses the login" in error.message:
            return "refused"
        return "no answer" if "refused" in error.message or "timed out" in error.message else "left"
    return "LOGGED IN"


@kind
def iscsi_login_with_the_secrets(victim: Victim) -> str:
    return login(victim, proof.chap(victim.key))


@kind
def iscsi_login_with_guessed_secrets(victim: Victim) -> str:
    return login(victim, proof.Chap("0" * 32, "0" * 32))


@kind
def iscsi_login_without_secrets(victim: Victim) -> str:
    words = f"InitiatorName=iqn.x:y\0TargetName={victim.iqn}\0SessionType=Normal\0AuthMethod=None\0"
    with connected(ISCSI, victim.address) as link:
        answer = spoken(link, LOGIN, FULL_FEATURE, words)
    return "refused" if answer[36] else "LOGGED IN" if answer[1] & 0x83 == 0x83 else "asked more"


@kind
def iscsi_discovery(victim: Victim) -> str:
    """What the node offers to somebody who asks for everything (RFC 7143, appendix C)."""
    words = "InitiatorName=iqn.x:y\0SessionType=Discovery\0AuthMethod=None\0"
    with connected(ISCSI, victim.address) as link:
        answer = spoken(link, LOGIN, FULL_FEATURE, words)
        if answer[36] or answer[1] & 0x83 != 0x83:
            return "refused"
        answer = spoken(link, TEXT, FINAL, "SendTargets=All\0", answer[24:32])
        listed = link.recv(int.from_bytes(answer[5:8]), socket.MSG_WAITALL)
    return "LISTED" if b"iqn" in listed else "nothing listed"


def spoken(link: socket.socket, code: int, flags: int, words: str, numbers: bytes = b"") -> bytes:
    """A request of text, and the head of its answer (RFC 7143, 11.10 to 11.13).

    `numbers` are the answer's StatSN and ExpCmdSN that it follows.
    """
    text, session = words.encode(), b"\x80" + os.urandom(3) + b"\0\0"
    status, command = struct.unpack(">II", numbers or bytes(8))
    head = struct.pack(">BBBBI", code, flags, 0, 0, len(text))
    head += session + bytes(2) if code == LOGIN else bytes(8)
    head += struct.pack(">II", 1, 0 if code == LOGIN else 0xFFFFFFFF)
    head += struct.pack(">II", command, status + 1 if numbers else 0)
    link.sendall(head.ljust(48, b"\0") + text + b"\0" * (-len(text) % 4))
    answer = link.recv(48, socket.MSG_WAITALL)
    if len(answer) < 48:
        raise ConnectionError("it ended the connection")
    return answer


@kind
def iscsi_that_is_none(victim: Victim) -> str:
    with connected(ISCSI, victim.address) as link:
        link.sendall(os.urandom(4096))
        return "left" if not link.recv(48) else "answered"


def said(victim: Victim, words: bytes) -> str:
    with connected(NOTICE, victim.address) as link:
        link.sendall(words)
    return "said"


@kind
def notice_with_the_word(victim: Victim) -> str:
    return said(victim, proof.word(victim.key).encode())


@kind
def notice_of_other_words(victim: Victim) -> str:
    return " ".join(
        sorted({said(victim, words) for words in (b"done", b"", b"SUCCESS", os.urandom(9))})
    )


@kind
def notice_that_is_held(victim: Victim) -> str:
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(connected(NOTICE, victim.address))
        time.sleep(HELD_SECONDS)
    return "held"


# Multicast ----------------------------------------------------------------------------------


def datagrams(place: tuple[str, int], *contents: bytes) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        for content in contents:
            link.sendto(content, place)
    return "sent"


@kind
def multicast_by_a_wrong_sender(_victim: Victim) -> str:
    """Data of udpcast's (udpc-protoc.h: DATA is 8) that nobody asked for."""
    block = struct.pack(">HHIHHI", 8, 0, 0, 0, 0, 1024) + os.urandom(1024)
    return datagrams(("232.168.77.1", CAST), *[block] * 20) + datagrams(
        ("192.168.77.255", CAST), struct.pack(">HH", 10, 0) + bytes(60)
    )


@kind
def multicast_answers_of_no_listener(_victim: Victim) -> str:
    """That all is well, that all is lost, that it leaves (OK 0, RETRANSMIT 1, DISCONNECT 4)."""
    answers = [struct.pack(">HHI", code, 0, number) for code in (0, 1, 4) for number in range(8)]
    return datagrams((SERVER, CAST + 1), *answers, os.urandom(1000), b"")


# Everything else ----------------------------------------------------------------------------


@kind
def bmc_commands_without_a_session(_victim: Victim) -> str:
    """IPMI 1.5 without a session: chassis control, power down (IPMI 2.0, 13.6 and 28.3)."""
    body = bytes([0x20, 0x00, 0xE0, 0x81, 0x00, 0x02, 0x00, 0x7D])
    packet = b"\x06\0\xff\x07" + bytes(9) + bytes([len(body)]) + body
    return datagrams((SERVER, BMC), packet, os.urandom(60)) + datagrams((SERVER, BMC + 1), packet)


@kind
def ports_of_the_conductor(_victim: Victim) -> str:
    met = []
    for port in (22, 80, 111, 2049, ISCSI, CAST, NOTICE, 10809):
        with contextlib.suppress(OSError), connected(port):
            met.append(port)
    return f"open {met}"
