"""Files that somebody else may have written or a crash cut: manifests, recipes, keys, journals."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from unittest import mock
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from bakery.build import plan
from bakery.build.recipe import read as recipe
from bakery.build.scrub import rules
from bakery.conductor import holder, write_list
from bakery.conductor.journal import Deployment, Journal, Record
from bakery.conductor.wanted import Wanted
from bakery.devstack import check as devstack
from bakery.devstack import verdicts
from bakery.devstack.host import Host
from bakery.devstack.journal import Journal as DevstackJournal
from bakery.devstack.steps import Answer
from bakery.host import kvm
from bakery.host.errors import BakeryError
from bakery.host.printable import printable, printable_json, printable_lines, shown
from bakery.host.workdir import WorkDir
from bakery.image import source
from bakery.lab import state
from bakery.manifest import manifest
from bakery.netboot import leases, wire_events
from bakery.recovery import header, keys, members, packing, records
from tests.fuzz.target import Target, in_file, text
from tests.recovery import pairs

NODE = UUID(int=1)
RECIPE = b"""name = "lab"
output = "out"
layout = "pv"
compress = "zstd"
sbom = ["spdx"]
[source]
image = "disk.qcow2"
[kernel_args]
append = ["console=ttyS0,115200n8"]
delete = ["quiet", "rhgb"]
[[files]]
source = "motd"
path = "/etc/motd"
mode = "0644"
[scrub]
rules = "rules.toml"
"""
RULES = b"""off = ["swap"]
[[rule]]
name = "own"
why = "it is ours"
paths = ["/etc/secret/**", "~/.ssh/id_*"]
action = "empty"
keep = ["/etc/secret/public"]
"""
FAULTY = b"""name = "lab"
"a key" = 1
[source]
image = "disk.qcow2"
"two words" = {"three more" = 2}
"""
INPUTS = b'{"version": 1, "image": "sha256:01", "options": {"layout": "pv"}}'
MEMORY = msgspec.json.encode(
    {
        "state": {"device": 1, "inode": 2, "size_bytes": 3, "mtime_ns": 4, "ctime_ns": 5},
        "digest": "sha256:00",
        "checked": {"path": "a", "format": "raw", "virtual_size_bytes": 3, "findings": []},
        "table": None,
        "check_version": source.CHECK_VERSION,
    }
)
KVM = b'{"key": {"kind": "kvm", "reason": "a trial guest ran under kvm"}}'
WIRE = b"""{"unix_seconds":1.5,"event":{"type":"dhcp","mac":"52:54:00:4c:00:01","message":"INFORM"}}
"""
AGE = b"age-encryption.org/v1\n-> X25519 abc\nZGVm\n--- bWFj\n" + bytes(64)
PAX = b"26 SCHILY.xattr.user.a=bc\n19 mtime=1700000.5\n12 path=a/b\n"
HOLDER = b'{"pid":4711,"host":"conductor-1","since":1790000000.5}'
LEASES = b'{"address":"192.168.77.128","mac":"52:54:00:4c:00:01","until":1.7e9}\n' * 3
LOCAL_CONF = b"""[[local|localrc]]
ADMIN_PASSWORD=abc
enable_plugin ironic https://opendev.org/openstack/ironic stable/2024.1
VIRT_DRIVER=ironic
IRONIC_VM_COUNT=2
IRONIC_VM_SPECS_RAM=${RAM:-3072}
LOGFILE="/opt/stack/logs/$NAME.log" \\
enable_service s-proxy,s-object
[[post-config|$IRONIC_CONF_FILE]]
[pxe]
pxe_append_params = nofb nomodeset
"""
SERVER = b'{"status": "ACTIVE", "addresses": {"private": ["fe80::1", "10.0.0.5"]}, "fault": {}}'
STEPS = b'{"version": 1, "steps": {}}'


def targets(work: Path) -> list[Target]:
    """All of them; `work` is a folder for scratch."""
    return [
        Target("manifest", lambda d: manifest.decode(d, "fuzz"), MANIFEST),
        *_of_a_user(work),
        *_of_a_state(work),
        *_of_a_recovery(work),
        Target(
            "printed text",
            _printed,
            "a\x1b[31m\u202eb\udc80 é\n\t".encode("utf-8", "surrogatepass"),
        ),
    ]


def _of_a_user(work: Path) -> list[Target]:
    folder = work / "recipe"
    folder.mkdir()
    (folder / "disk.qcow2").write_bytes(b"")
    (folder / "motd").write_bytes(b"hello")
    (folder / "rules.toml").write_bytes(RULES)
    local_conf = work / "devstack/local.conf"
    local_conf.parent.mkdir()

    def checked(path: Path) -> object:
        return devstack.check(path, release="", host=Host(memory_bytes=16 << 30))

    return [
        Target("recipe", in_file(folder / "lab.toml", recipe.read), RECIPE),
        Target("recipe with a fault", in_file(folder / "fault.toml", _faulty), FAULTY),
        Target("scrub rules", in_file(work / "rules.toml", rules.load), RULES),
        Target("local.conf", in_file(local_conf, checked), LOCAL_CONF),
        Target("devstack's answers", _answers, SERVER),
        *_keys(work),
    ]


def _faulty(path: Path) -> None:
    with contextlib.suppress(BakeryError):
        recipe.read(path)


def _answers(data: bytes) -> object:
    answers = [Answer(0, text(data))]
    judges = (
        verdicts.nodes_listed(1),
        verdicts.image_active("k"),
        verdicts.arguments_set("kernel_append_params", "ro"),
        verdicts.server_active,
    )
    return [judge(answers) for judge in judges]


def _keys(work: Path) -> list[Target]:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    ssh = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    signing = ed25519.Ed25519PrivateKey.generate()
    signing_pem = signing.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return [
        Target("key that seals", in_file(work / "public", keys.public_key), ssh),
        Target("key that opens", in_file(work / "private", keys.private_key), pem),
        Target("key that signs", in_file(work / "signing", write_list.read_key), signing_pem),
    ]


def _holder(path: Path) -> str:
    with path.open("rb") as file:
        return holder.of(file.fileno())


def _of_a_state(work: Path) -> list[Target]:
    journals = work / "journals"
    journals.mkdir()
    journal = Journal(journals, NODE)
    draft = WorkDir(work / "build")
    result = draft.path / "base-0"
    result.mkdir(parents=True)
    steps = DevstackJournal(work / "steps")
    return [
        Target("journal", in_file(journal.path, lambda _: journal.read()), _record()),
        Target("holder of a lock", in_file(work / "lock", _holder), HOLDER),
        Target("leases", in_file(work / "leases", leases._read), LEASES),
        Target(
            "stamps", in_file(result / "result.json", lambda _: draft.result("base", "0")), b"{}"
        ),
        Target("inputs of a stage", in_file(result / "inputs.json", _why(draft)), INPUTS),
        Target("memory of an image", in_file(work / "source.json", _recalled), MEMORY),
        Target("memory of KVM", _of_kvm(work / "kvm.json"), KVM),
        Target("record of a lab", _of_a_lab(work / "lab"), _lab()),
        Target("log of the wire", in_file(work / "wire", _logged), WIRE),
        Target("devstack's journal", in_file(steps.path, lambda _: steps.read()), STEPS),
    ]


def _why(draft: WorkDir) -> Callable[[Path], object]:
    """Why a stage would run, by what it was given the last time."""
    stage = SimpleNamespace(name="base", inputs=lambda _job: {"version": 1, "image": "sha256:00"})
    return lambda _: plan._why(stage, None, draft)  # type: ignore[arg-type]


def _recalled(path: Path) -> object:
    return source._recall(path, source.State(1, 2, 3, 4, 5))


def _of_kvm(path: Path) -> Callable[[bytes], object]:
    def parsed(_path: Path) -> object:
        with mock.patch.object(kvm, "_cache_file", return_value=path):
            return kvm._remembered("key")

    return in_file(path, parsed)


def _of_a_lab(folder: Path) -> Callable[[bytes], object]:
    folder.mkdir(mode=0o700)

    def parsed(_path: Path) -> object:
        with mock.patch.object(state, "keeper_pid", return_value=7):
            return state.find(folder)

    return in_file(folder / state.RECORD, parsed)


def _lab() -> bytes:
    bmc = state.BmcAccess("192.168.77.1", 6230, "admin", "secret")
    node = state.Node("node-1", str(NODE), "52:54:00:4c:00:01", "bios", "e1000", "d", 1, bmc, "c")
    return msgspec.json.encode(state.Lab("f", "192.168.77.1/24", "lab", 7, True, "tcg", (node,)))


def _logged(path: Path) -> object:
    return list(wire_events.read_log(path))


def _record() -> bytes:
    wanted = Wanted(build="k1", name="sample")
    record = Record(
        node=NODE, name="node-1", wanted=wanted, state="writing", deployment=Deployment.fresh()
    )
    return msgspec.json.encode(record)


def _of_a_recovery(work: Path) -> list[Target]:
    """An archive that anyone may have made."""
    content = pairs.tar(
        [
            (pairs.member("etc", b"5"), b""),
            (pairs.member("etc/é", pax_headers={"SCHILY.xattr.user.a": "b"}, mtime=1.5), b"c" * 9),
            (pairs.member("link", b"2", linkname="etc/é"), b""),
        ]
    )
    frame = packing.compressor()
    packed = frame.compress(content) + frame.flush()
    return [
        Target("recovery tar", _members, content),
        Target("extended header", records.parse, PAX),
        Target("recovery frame", lambda d: list(packing.unpacked([d], 1 << 20)), packed),
        Target("age header", in_file(work / "archive", _header), AGE),
    ]


def _header(path: Path) -> None:
    with path.open("rb") as file:
        header.check(file)


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


def _printed(data: bytes) -> None:
    words = data.decode("utf-8", "surrogateescape")
    lines = printable_lines(words)
    for line in (printable(words), printable(data), shown(words), *lines.split("\n")):
        assert line.replace("\t", "").isprintable(), line
    assert json.loads(printable_json(words)) == words


ARTIFACT = {"size_bytes": 1, "digest": "sha256:00", "extents": [[0, 1]]}
MANIFEST = json.dumps(
    {
        "version": 1,
        "bakery_version": "0",
        "name": "a",
        "layout": "pv",
        "engine": "direct",
        "source": {"name": "i", "format": "qcow2", "virtual_size_bytes": 1, "digest": "sha256:00"},
        "partition": {"number": 2, "start_bytes": 1, "size_bytes": 1, "type": "8e"},
        "lvm": {"vg": "v", "lv": "l", "segments": [[1, 2]]},
        "root_filesystem": {"type": "xfs", "uuid": "u"},
        "deployment": {"id": "d", "kernel_version": "6"},
        "kernel_args": ["ro"],
        "artifacts": dict.fromkeys(("kernel", "ramdisk", "base"), ARTIFACT),
        "tools": {},
        "key": "k",
    }
).encode()
