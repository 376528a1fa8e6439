"""What is fuzzed: each parser of bakery with a real input that a real tool made."""

import io
import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import msgspec

from bakery import manifest
from bakery.agent import api as agent_api
from bakery.agent import hints, kernel_args
from bakery.agent.errors import AgentError
from bakery.cloud import embedded, handover, health, records
from bakery.deploy import api
from bakery.deploy.journal import Deployment
from bakery.disk import digest, lvm, packed, partitions, qcow2, qcow2_map, safety
from bakery.errors import BakeryError
from bakery.recovery import bech32, members, stanza
from bakery.serve import dhcp_packet, http_message, tftp
from bakery.serve.http_message import Refused
from bakery.serve.tftp import Refusal
from bakery.system import bls, fstab, grub, grubdefaults, kargs, ostree, release
from tests import tiny
from tests.disk import pvs
from tests.recovery import pairs

DISK_BYTES = 6 << 30
GRUB_CFG = b"""set default="0"
if [ -s $prefix/grubenv ]; then
  load_env
fi
menuentry 'Debian GNU/Linux' --class debian --id 'gnulinux-simple-1' {
  insmod ext2
  search --no-floppy --fs-uuid --set=root 2f6e1f4a
  linux /boot/vmlinuz-6.1 root=UUID=2f6e1f4a ro "quiet" console=ttyS0
  initrd /boot/initrd.img-6.1
}
submenu 'Advanced options' --id adv {
  menuentry 'old' { linux /boot/vmlinuz-5.10 root=/dev/sda1 ; initrd /boot/i }
}
"""

STORES = b'[{"id": "a", "mountpoint": "/srv/glance"}, {"id": "b", "mountpoint": "/srv/b"}]'
IMAGE = """{"id": "7d1f3a52-0b0a-4c61-8d8e-3e8f5c1f2b10", "status": "active", "name": "tiny",
"size": 4096, "disk_format": "ami", "os_hidden": false, "os_hash_algo": "sha512",
"kernel_id": "0f6a1c9e-58a1-5f6b-8c11-5a3f5d6b7c88", "bakery_role": "base", "min_disk": 1,
"locations": [{"url": "file:///srv/glance/7d1f3a52-0b0a-4c61-8d8e-3e8f5c1f2b10",
"metadata": {"id": "a", "mountpoint": "/srv/glance"}}]}"""


REFUSALS = (BakeryError, AgentError, Refusal, Refused)
"""What a parser may raise; each server, and the node's own half, has a kind of its own."""

DISCOVER = dhcp_packet.encode(
    dhcp_packet.Packet(
        op=dhcp_packet.REQUEST,
        xid=7,
        mac=bytes.fromhex("5254004c0001"),
        options={53: b"\x01", 93: b"\0\x07", 97: b"\0" + bytes(16), 77: b"iPXE", 55: b"\x01\x03"},
    )
)
READ_REQUEST = b"\0\x01pxelinux.cfg/01-52-54-00-4c-00-01\0octet\0tsize\x000\0blksize\x001456\0"
DEPLOY_INFO = b'{"address": "192.168.77.128", "key": "k", "iqn": "iqn.2008-10.org:n", "error": ""}'
NODE_ARGS = (
    "disk=vda iscsi_target_iqn=iqn.2008-10.org.openstack:n deployment_id=n deployment_key=k "
    'ironic_api_url=http://192.168.77.1:6385 troubleshoot=0 root_device="size=>= 100" '
    "ip=192.168.77.128:192.168.77.1::255.255.255.0 BOOTIF=01-52-54-00-4c-00-01"
)
HINTS = "size=>= 100,vendor=<or> ata <or> scsi,rotational=false,wwn=s== 0x5000"


class Target(NamedTuple):
    """A parser, and a real input to begin with."""

    name: str
    parse: Callable[[bytes], object]
    seed: bytes


def targets(work: Path) -> list[Target]:
    """Every parser of bytes from outside; `work` is a folder for scratch."""
    image = _qcow2(work)
    pv = pvs.load("split")
    text = 'root=UUID=1 ro quiet console=ttyS0,115200n8 dyndbg="file a +p"'
    return [
        Target("qcow2 header", lambda data: qcow2.findings(qcow2.parse(data)), image[:4096]),
        Target("qcow2 map", lambda data: qcow2_map.allocated(io.BytesIO(data)), image),
        Target("check", lambda data: _check(work, data), image),
        Target("partitions", lambda d: partitions.from_sfdisk(d, DISK_BYTES), _sfdisk(work)),
        Target("lvm", lambda data: lvm.read(_reader(data), 0, pvs.SIZE_BYTES, 2), pv),
        Target("bls", lambda data: bls.arguments(bls.parse(data, "a.conf")), tiny.ENTRY.encode()),
        Target("fstab", fstab.without, tiny.FSTAB),
        Target("packed index", lambda data: packed.decode(data, "index"), _index()),
        Target("grub.cfg", lambda data: grub.ordered(grub.parse(data)), GRUB_CFG),
        Target(
            "grubenv",
            grub.parse_environment,
            b"# GRUB Environment Block\nsaved_entry=1\n" + b"#" * 900,
        ),
        Target(
            "default/grub",
            lambda d: grubdefaults.change(d, ["ro"], ["a=b"]),
            b'GRUB_CMDLINE_LINUX="ro x"\n',
        ),
        Target(
            "kernel arguments", lambda d: kargs.parse(d.decode("utf-8", "replace")), text.encode()
        ),
        Target(
            "ostree=",
            lambda d: ostree.parse_boot_argument(d.decode("utf-8", "replace")),
            b"ostree=/ostree/boot.1/fedora-atomic/" + b"5a" * 32 + b"/0",
        ),
        Target("os-release", release.parse, tiny.ROOT["etc/os-release"]),
        Target("manifest", lambda data: manifest.decode(data, "fuzz"), _manifest()),
        Target("embedded manifest", _unpacked, json.dumps(embedded.pack(_manifest())).encode()),
        Target("image record", _image, IMAGE.encode()),
        *_of_a_deploy(),
        *_of_a_recovery(),
        Target("store metadata", lambda data: _stores(work, data), STORES),
    ]


def _unpacked(data: bytes) -> object:
    try:
        properties = msgspec.json.decode(data, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return embedded.unpack(properties)


def _image(data: bytes) -> object:
    try:
        answer = msgspec.json.decode(data, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    image = records.image(answer)
    return health.links(image), list(handover._candidates(image, ()))


def _stores(work: Path, data: bytes) -> object:
    path = work / "store.json"
    path.write_bytes(data)
    return handover.stores(path)


def _reader(data: bytes) -> Callable[[int, int], bytes]:
    def read_at(offset: int, length: int) -> bytes:
        inside = max(0, min(length, pvs.SIZE_BYTES - offset))
        return data[offset : offset + inside].ljust(inside, b"\0")

    return read_at


def _check(work: Path, data: bytes) -> object:
    with tempfile.NamedTemporaryFile(dir=work, suffix=".qcow2") as file:
        file.write(data)
        file.flush()
        # Without the programs: they would be fuzzed, at a hundredth of the speed.
        return safety.check(Path(file.name), with_partitions=False, with_openstack=False)


def _of_a_deploy() -> list[Target]:
    """What a node and a network say, and what a node is told."""

    def text(data: bytes) -> str:
        return data.decode("latin-1")

    return [
        Target("DHCP", dhcp_packet.parse, DISCOVER),
        Target("TFTP request", tftp.parse_request, READ_REQUEST),
        Target("HTTP range", lambda d: http_message.piece(text(d), 1 << 20), b"bytes=100-2000"),
        Target("HTTP target", lambda d: http_message.split_target(text(d)), b"/a/b%20c?d=e%2F"),
        Target("pass_deploy_info", _asked, DEPLOY_INFO),
        Target("node's arguments", lambda d: kernel_args.parse(text(d)), NODE_ARGS.encode()),
        Target("root device hints", lambda d: hints.parse(text(d)), HINTS.encode()),
        Target("API address", lambda d: agent_api.parse(text(d)), b"http://192.168.77.1:6385/x"),
    ]


def _of_a_recovery() -> list[Target]:
    """An archive that anyone may have made."""
    wrapped = stanza.Stanza(("X25519", "A" * 43), bytes(32))
    content = pairs.tar(
        [
            (pairs.member("etc", b"5"), b""),
            (pairs.member("etc/é", pax_headers={"SCHILY.xattr.user.a": "b"}, mtime=1.5), b"c" * 9),
            (pairs.member("link", b"2", linkname="etc/é"), b""),
        ]
    )
    return [
        Target("age header", lambda d: stanza.read(io.BytesIO(d)), stanza.encoded(wrapped, b"k")),
        Target("recovery tar", _members, content),
        Target("bech32", _bech32, pairs.bech32_of("age", bytes(32)).encode()),
    ]


def _members(data: bytes) -> None:
    """Each header's checksum is made right, or few changes would get past it."""
    tar = bytearray(data)
    for at in range(0, len(tar) - 511, 512):
        if tar[at + 257 : at + 262] == b"ustar":
            tar[at + 148 : at + 156] = b" " * 8
            tar[at + 148 : at + 156] = b"%06o\0 " % sum(tar[at : at + 512])
    tape = members.Members()
    tape.feed(bytes(tar))
    tape.finish()


def _bech32(data: bytes) -> object:
    try:
        return bech32.decode(data.decode("latin-1"))
    except ValueError:
        return None


def _asked(body: bytes) -> object:
    """Whatever the body is, the API answers by a status."""
    deployment = Deployment.fresh()
    node = UUID(int=1)
    waiting = _Waiting(deployment)
    parameters = {"node": str(node), "call": "pass_deploy_info"}
    headers = {"x-auth-token": deployment.token}
    request = http_message.Request("POST", "/", parameters, "", headers, body, "192.0.2.1")
    status = api.answer(request, {node: waiting}).status
    assert status in (202, 400), status
    return status


class _Waiting(NamedTuple):
    """A node that takes everything."""

    deployment: Deployment

    def ramdisk_up(self, _agent: object) -> bool:
        return True

    def ramdisk_failed(self, _error: str) -> bool:
        return True

    def plan(self, _agent: object, _disk_bytes: int) -> bytes:
        return b""

    def progress(self, _part: str, _done: int, _total: int) -> bool:
        return True

    def written(self) -> bool:
        return True

    def bootloader(self, _error: str) -> bool:
        return True


def _index() -> bytes:
    """Two chunks of three, of which the last is short."""
    size = 2 * digest.CHUNK_BYTES + 100
    sums = {0: "11" * 32, 2: "22" * 32}
    known = ((number, bytes.fromhex(text)) for number, text in sums.items())
    chunks = tuple(packed.PackedChunk(n, n * 500, 400, text, text) for n, text in sums.items())
    whole = digest.of_chunks(size, known)
    return packed.encode(
        packed.Index(size_bytes=size, digest=whole, packed_bytes=2000, chunks=chunks)
    )


def _qcow2(work: Path) -> bytes:
    raw, image = work / "seed.raw", work / "seed.qcow2"
    with raw.open("wb") as file:
        file.truncate(1 << 20)
        file.write(b"data" * 5000)
    argv: list[str | Path] = [
        "qemu-img",
        "convert",
        "-c",
        "-O",
        "qcow2",
        "-o",
        "cluster_size=4096",
        raw,
        image,
    ]
    subprocess.run(argv, check=True)
    return image.read_bytes()


def _sfdisk(work: Path) -> bytes:
    raw = work / "table.raw"
    with raw.open("wb") as file:
        file.truncate(64 << 20)
    tiny.run("sfdisk", "-q", raw, stdin="label: gpt\nsize=8M,name=boot\nsize=16M\n")
    argv: list[str | Path] = ["/usr/sbin/sfdisk", "--json", raw]
    return subprocess.run(argv, check=True, capture_output=True).stdout


def _manifest() -> bytes:
    artifact = {"size_bytes": 1, "digest": "sha256:00", "extents": [[0, 1]]}
    return json.dumps(
        {
            "version": 1,
            "bakery_version": "0",
            "name": "a",
            "layout": "pv",
            "engine": "direct",
            "source": {
                "name": "i",
                "format": "qcow2",
                "virtual_size_bytes": 1,
                "digest": "sha256:00",
            },
            "partition": {"number": 2, "start_bytes": 1, "size_bytes": 1, "type": "8e"},
            "lvm": {"vg": "v", "lv": "l", "segments": [[1, 2]]},
            "root_filesystem": {"type": "xfs", "uuid": "u"},
            "deployment": {"id": "d", "kernel_version": "6"},
            "kernel_args": ["ro"],
            "artifacts": dict.fromkeys(("kernel", "ramdisk", "base"), artifact),
            "tools": {},
            "key": "k",
        }
    ).encode()
