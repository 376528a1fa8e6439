"""What a network says to the conductor's servers and to a node, and a node to the conductor."""

import contextlib
import io
import logging
import struct
import time
from dataclasses import dataclass
from http.client import HTTPConnection
from ipaddress import IPv4Address
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from bakery.conductor import api, chap, iscsi, media, nbd, network_data, write_list
from bakery.conductor.encryption import encrypted_list
from bakery.conductor.journal import Deployment
from bakery.conductor.peer import Peer
from bakery.disk import digest
from bakery.disk.packed import packed_index
from bakery.lab import drive
from bakery.netboot import (
    boot_config,
    dhcp_packet,
    firmware_files,
    http_message,
    packet_socket,
    ping,
    tftp,
)
from bakery.netboot.tftp_transfer import Transfer
from bakery.netboot.tree import Tree
from bakery.netboot.wire_events import readable
from bakery.node.agent import api as agent_api
from bakery.node.agent import (
    hints,
    http,
    kernel_args,
    multicast,
    network,
    not_now,
    proof,
    signed_list,
)
from bakery.node.agent import tftp as agent_tftp
from bakery.node.agent.disks import Disk
from bakery.node.agent.exchange import Exchange
from bakery.system import kargs
from tests.conductor.peers import peer_at
from tests.fuzz.target import Target, latin, said, text

DISCOVER = dhcp_packet.encode(
    dhcp_packet.Packet(
        op=dhcp_packet.REQUEST,
        xid=7,
        mac=bytes.fromhex("5254004c0001"),
        giaddr=IPv4Address("10.9.0.1"),
        options={
            82: b"\x05\x04\x0a\x09\0\x01",
            53: b"\x01",
            93: b"\0\x07",
            97: b"\0" + bytes(16),
            77: b"iPXE",
            55: b"\x01\x03",
        },
    )
)
UDP = struct.pack("!HHHH", 68, 67, 8 + len(DISCOVER), 0) + DISCOVER
PASSING = struct.pack("!BBHHHBBH8s", 0x45, 0, 20 + len(UDP), 1, 0, 64, 17, 0, bytes(8)) + UDP
READ_REQUEST = b"\0\x01pxelinux.cfg/01-52-54-00-4c-00-01\0octet\0tsize\x000\0blksize\x001456\0"
ACKNOWLEDGED = b"\0\x04\0\x00"
DEPLOY_INFO = (
    b'{"address": "192.168.77.128", "key": "KEY", "iqn": "iqn.2008-10.org:n", "error": "", '
    b'"chap": "both", "status": "SUCCEEDED", "part": "writing", "done": "1", "total": "2", '
    b'"disk_bytes": "1073741824", "public_key": "' + b"ab" * 32 + b'"}'
)
BUSY = (
    b"HTTP/1.1 503 Busy\r\nDate: Mon, 30 Nov 2026 17:00:00 GMT\r\nRetry-After: "
    b"Mon, 30 Nov 2026 17:00:07 GMT\r\n\r\n"
)
NODE_ARGS = (
    "disk=vda iscsi_target_iqn=iqn.2008-10.org.openstack:n deployment_id=n deployment_key=k "
    'ironic_api_url=http://192.168.77.1:6385 troubleshoot=0 root_device="size=>= 100" '
    "ip=192.168.77.128:192.168.77.1::255.255.255.0:n:eth0:none:192.168.77.2 bakery_vlan=7 "
    "BOOTIF=01-52-54-00-4c-00-01"
)
NETWORK_DATA = msgspec.json.encode(
    {
        "links": [
            {"id": "a", "type": "vlan", "vlan_id": 7, "vlan_link": "b"},
            {"id": "b", "ethernet_mac_address": "52:54:00:4C:00:01"},
        ],
        "services": [{"type": "dns", "address": "10.0.0.2"}],
        "networks": [
            {"type": "ipv4", "link": "a", "ip_address": "10.0.0.5/8", "gateway": "10.0.0.1"}
        ],
    }
)
MEDIUM = b"HTTP/1.1 200 OK\r\nAccept-Ranges: bytes\r\nContent-Length: 34211840\r\n\r\n"
BOOT_ARGS = b'ro quiet dyndbg="file a +p" ostree=/ostree/boot.1/a console=ttyS0'
HINTS = "size=>= 100,vendor=<or> ata <or> scsi,rotational=false,wwn=s== 0x5000"
LEASE = b"""ip=192.168.77.128
subnet=255.255.255.0
router=192.168.77.1 192.168.77.2
siaddr=192.168.77.1
"""
ANSWER = b"HTTP/1.1 206 Partial\r\nContent-Length: 9\r\nContent-Range: bytes 0-8/9\r\n\r\nnine byte"
DISK = Disk("vda", 200 << 30, rotational=False, model="QEMU", vendor="ata", wwn="0x5000")
CALLS = (*api.CALLS, "get_deploy_plan")
NODE_ADDRESS = "192.168.77.128"


def targets(_work: Path) -> list[Target]:
    """All of them."""
    return [*_of_the_conductor(), *_of_a_node()]


def _of_the_conductor() -> list[Target]:
    return [
        Target("DHCP", _dhcp, DISCOVER),
        Target("DHCP on its way", _passing, PASSING),
        Target("TFTP request", tftp.parse_request, READ_REQUEST),
        Target("TFTP packet", _acknowledged, ACKNOWLEDGED),
        Target("HTTP range", lambda d: http_message.piece(latin(d), 1 << 20), b"bytes=100-2000"),
        Target("path to be told", lambda d: http_message.masked(latin(d)), b"//media/secret/a.iso"),
        Target("answer about a medium", _medium, MEDIUM),
        Target("network of a node", _network, NETWORK_DATA),
        Target("HTTP target", lambda d: http_message.split_target(latin(d)), b"/a/b%20c?d=e%2F"),
        Target("HTTP entity tags", lambda d: http_message.matches(latin(d), "a"), b'W/"b", "a", *'),
        Target("calls of a ramdisk", _asked, DEPLOY_INFO),
        Target(
            "address of a node", lambda d: iscsi.plain_address(latin(d)), b"fe80::5054:ff:fe4c:1"
        ),
        Target(
            "iSCSI target",
            lambda d: iscsi.Target("192.0.2.1", latin(d)).node(),
            b"iqn.2008-10.org:n",
        ),
        Target("iSCSI login", _login, _logged_in()),
        Target("ping's answer", _pinged, bytes([0x45, *bytes(19), 0, 0, 0, 0, 0, 7, 0, 1, 97])),
        Target("NBD", _disk, _served_disk()),
        Target("boot configuration", _configured, BOOT_ARGS),
        Target("text of the wire", lambda d: readable(latin(d)), b"\x1b]0;a\x07 pxelinux.0"),
    ]


def _dhcp(data: bytes) -> object:
    """A packet, and what would be sent on of it."""
    packet = dhcp_packet.parse(data)
    files = firmware_files.BootFiles("a", "b", "c", "d", "e")
    link = packet.relay_link
    return files.of(packet), link, dhcp_packet.parse(dhcp_packet.encode(packet))


def _passing(data: bytes) -> object:
    """A packet as it is heard on the wire."""
    heard = packet_socket.datagram(data)
    return _dhcp(heard.payload) if heard else None


def _pinged(data: bytes) -> object:
    """The request, whose checksum is made, and what may be the answer."""
    return ping._request(7, bytes(16)), ping._is_answer(data, 7, b"a")


def _configured(data: bytes) -> object:
    """Of a build whose manifest has such arguments, for each boot program."""
    args = boot_config.ironic_args(kargs.parse(text(data)))
    boot = boot_config.Boot("n/kernel", "n/ramdisk", args)
    config = boot_config.BootConfig(mac="52:54:00:4c:00:01", deploy=boot, boot_partition=boot)
    root = boot_config.BootConfig.switched(config, "boot_partition", root="UUID=1")
    forms = (boot_config.pxelinux, boot_config.grub)
    return [form(root) for form in forms], boot_config.ipxe(root, "http://192.0.2.1:6385")


def _acknowledged(data: bytes) -> object:
    logging.getLogger("tftpy").setLevel(logging.CRITICAL + 1)  # as the server has it
    tree = Tree()
    tree.put("file", bytes(100))
    opened = tree.open("file")
    assert opened
    return Transfer(opened, {"blksize": 50}).take(data)


def _asked(body: bytes) -> object:
    """Whatever the body is, the API answers by a status; one call after the other is asked."""
    deployment = Deployment.fresh()
    node = UUID(int=1)
    waiting = Waiting(peer_at(NODE_ADDRESS, deployment))
    told = body.replace(b"KEY", deployment.key.encode())
    statuses = set()
    for call in CALLS:
        parameters = {"node": str(node), "call": call}
        headers = {"x-auth-token": deployment.token}
        request = http_message.Request("POST", "/", parameters, "", headers, told, NODE_ADDRESS)
        statuses.add(api.answer(request, {node: waiting}).status)
    assert statuses <= {200, 202, 400, 401, 403, 409}, statuses
    return statuses


@dataclass
class Waiting:
    """A node that takes everything."""

    peer: Peer

    def ramdisk_up(self, _agent: object, _machine: object) -> bool:
        return True

    def ramdisk_failed(self, _error: str) -> bool:
        return True

    def write_list(self, _agent: object, _machine: object, _public: bytes) -> bytes:
        return b""

    def progress(self, _part: str, _done: int, _total: int) -> bool:
        return True

    def written(self) -> bool:
        return True

    def bootloader(self, _error: str) -> bool:
        return True


def _login(data: bytes) -> None:
    """What a target answers, one answer behind the other; only `check` knows what errors mean."""
    with said(data) as link, contextlib.suppress(OSError, ValueError, KeyError):
        login = chap._Login(link, time.monotonic() + 1)
        chap._check(login, "iqn.2008-10.org:n", iscsi.INITIATOR, proof.chap("k"))


def _logged_in() -> bytes:
    """A target's three answers (RFC 7143, 11.13), the last with a wrong response."""
    texts = (
        b"AuthMethod=CHAP\0TargetPortalGroupTag=1\0",
        b"CHAP_A=5\0CHAP_I=7\0CHAP_C=0x" + b"5a" * 16 + b"\0",
        b"CHAP_N=node\0CHAP_R=0x" + b"00" * 16 + b"\0",
    )
    answers = []
    for words in texts:
        head = bytes([chap.LOGIN_ANSWER, 0, 0, 0]) + len(words).to_bytes(4, "big")
        answers.append(head.ljust(chap.HEADER_BYTES, b"\0") + words + b"\0" * (-len(words) % 4))
    return b"".join(answers)


def _disk(data: bytes) -> object:
    """What serves a node's disk says, which has talked to the node."""
    with said(data) as link:
        link.settimeout(1)
        disk = nbd.Nbd(link)
        return disk.size_bytes, disk.read(0, 512)


def _served_disk() -> bytes:
    """Greeting, the export's size and flags, an acknowledgement, and the reply to one read."""
    size, flags = (1 << 30).to_bytes(8, "big"), b"\0\x6d"
    magic = nbd.OPTION_REPLY_MAGIC.to_bytes(8, "big") + nbd.OPT_GO.to_bytes(4, "big")
    info = magic + b"\0\0\0\x03\0\0\0\x0c\0\0" + size + flags
    reply = nbd.REPLY_MAGIC.to_bytes(4, "big") + bytes(4) + bytes(8) + b"d" * 512
    return nbd.GREETING + b"\0\x03" + info + magic + b"\0\0\0\x01" + bytes(4) + reply


LATER = (
    b"HTTP/1.1 429 So\r\nDate: Wed, 21 Oct 2015 07:28:00 GMT\r\n"
    b"Retry-After: Wed, 21 Oct 2015 07:28:30 GMT\r\n"
)


def _of_a_node() -> list[Target]:
    return [
        Target("node's arguments", lambda d: kernel_args.parse(latin(d)), NODE_ARGS.encode()),
        Target("root device hints", _matched, HINTS.encode()),
        Target("API address", lambda d: agent_api.parse(latin(d)), b"http://192.168.77.1:6385/x"),
        Target("frames' address", lambda d: http.parse(latin(d)), b"http://[fe80::1]:6385/x/y"),
        Target("lease of a node", lambda d: network.parse_lease(latin(d)), LEASE),
        Target("HTTP answer", _fetched, ANSWER),
        Target("when to ask again", not_now.wait, LATER),
        Target("answer of the API", _status, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 OK\r\n"),
        Target("HTTP answer of a busy server", not_now.wait, BUSY),
        Target("TFTP answer", _answered, b"\0\x03\0\x01token of a try"),
        Target("signed list", _listed, _pieces()),
        Target("signature", _signed, _SIGNED),
        Target("encrypted list", _decrypted, encrypted_list(_SIGNED, OWN.public, "KEY")),
        Target("key of a node", _to_key, Exchange().public),
        Target("multicast", _cut, b"x" * 900),
    ]


def _matched(data: bytes) -> object:
    return [hints.matches(DISK, hint) for hint in hints.parse(latin(data))]


def _network(data: bytes) -> object:
    """What YAML has made of a nodes file is JSON's kinds of values."""
    with contextlib.suppress(msgspec.DecodeError, RecursionError):
        return media.node_network(network_data.network_of(msgspec.json.decode(data)))
    return None


def _medium(data: bytes) -> None:
    with said(data) as link:
        talk = HTTPConnection("192.0.2.1")
        talk.sock = link
        drive.ask(talk, urlsplit("http://192.0.2.1/media/secret/node.iso"))


def _fetched(data: bytes) -> object:
    """A range out of what a server answers; what breaks is fetched again."""
    with said(data) as link, contextlib.suppress(OSError):
        connection = http.Connection.__new__(http.Connection)
        connection._place, connection._link = http.Place("192.0.2.1", 80, "/x"), link
        connection._token, connection._rest = "", b""
        connection._paced = http._Paced(link)
        connection.ask(0, 9)
        return connection.take(9)
    return None


def _status(data: bytes) -> None:
    with said(data) as link, contextlib.suppress(OSError):
        agent_api._status(link)


@dataclass
class _Datagrams:
    """A socket on which one datagram has come, of the server's."""

    data: bytes

    def recvfrom(self, count: int) -> tuple[bytes, tuple[str, int]]:
        return self.data[:count], ("192.0.2.1", 69)


def _answered(data: bytes) -> object:
    return agent_tftp._receive(_Datagrams(data), ("192.0.2.1", 69), 1, "token")  # type: ignore[arg-type]


OWNER = Deployment.fresh()
OWN = Exchange()
HERE = signed_list.Here("node-1", 1 << 30, serial=7)


def _listed(data: bytes) -> object:
    """A list whose owner signed whatever it says."""
    content = OWNER.signed(data).hex().encode() + b"\n" + data
    return signed_list.read(content, bytes.fromhex(OWNER.public_key), HERE).count


def _signed(data: bytes) -> object:
    return signed_list.read(data, bytes.fromhex(OWNER.public_key), HERE)


def _decrypted(data: bytes) -> object:
    return _signed(OWN.decrypted(data, "KEY"))


def _pieces() -> bytes:
    """A list of one image of three chunks, of which one has data."""
    size = 2 * digest.CHUNK_BYTES + 100
    sums = {1: "11" * 32}
    whole = digest.of_chunks(size, ((n, bytes.fromhex(one)) for n, one in sums.items()))
    chunks = tuple(packed_index.PackedChunk(n, 0, 400, one, one) for n, one in sums.items())
    index = packed_index.Index(size_bytes=size, digest=whole, packed_bytes=500, chunks=chunks)
    piece = {"place": 1 << 20, "frames": "http://192.0.2.1/f", "index": index, "key": "ab" * 32}
    piece["cast"] = {"port": 9000, "key": "ab" * 32}
    terms = write_list.Terms(build="k", serial=9, node="node-1", expires=1 << 40)
    return write_list.signed([piece], terms, lambda _content: b"").partition(b"\n")[2]


def _to_key(public: bytes) -> object:
    """The conductor's half: a list is encrypted to whatever key a node sends."""
    return encrypted_list(_SIGNED, public, "k")


def _cut(data: bytes) -> object:
    """Frames out of what a sender sends, whoever that is."""
    return list(multicast._cut(_WORKS, io.BytesIO(data)))


_SIGNED = OWNER.signed(_pieces()).hex().encode() + b"\n" + _pieces()
_WORKS = signed_list.read(_SIGNED, bytes.fromhex(OWNER.public_key), HERE).rest
