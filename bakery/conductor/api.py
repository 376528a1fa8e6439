"""The calls that a node's ramdisk makes, as Ironic's classic vendor_passthru had them.

`POST {api}/v1/nodes/{id}/vendor_passthru/CALL` with `X-Auth-Token` and a JSON body, answered with
202; `get_deploy_plan` with 200 and the signed write list. What was refused is told as Ironic's API
told it: `{"error_message": "{\\"faultstring\\": …}"}`. Who is believed, peer.py decides.
"""

import ipaddress
import json
import re
from collections.abc import Mapping
from typing import Literal, Protocol, TypeVar
from uuid import UUID

import msgspec

from bakery.conductor.iscsi import IQN, plain_address
from bakery.conductor.journal import AgentInfo, Machine
from bakery.conductor.peer import Peer, Refused
from bakery.host.errors import BakeryError
from bakery.host.printable import printable, shown
from bakery.netboot.http_message import Request, Response, Routes
from bakery.netboot.tree import Asker

TEXT_LIMIT = 4096
NAME_LIMIT = 128
CARDS_LIMIT = 64
MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}", re.ASCII)
PATH = (
    r"/v1/nodes/(?P<node>[^/]{1,64})/vendor_passthru/"
    r"(?P<call>pass_deploy_info|pass_bootloader_install_info|pass_deploy_progress|pass_deploy_done"
    r"|get_deploy_plan)/?"
)
SUCCEEDED = "SUCCEEDED"
ACCEPTED = 202


class DeployInfo(msgspec.Struct, frozen=True):
    """The body of `pass_deploy_info`; `error` is empty where the ramdisk is ready.

    `chap` is `both` where its target and who writes log in to each other. The last five tell
    which machine it is: its cards with commas between, its number, and the disk it offers.
    """

    key: str
    address: str = ""
    iqn: str = ""
    error: str = ""
    chap: Literal["", "both"] = ""
    macs: str = ""
    serial: str = ""
    disk_model: str = ""
    disk_serial: str = ""
    disk_bytes: str = ""


class BootloaderInfo(msgspec.Struct, frozen=True):
    """The body of `pass_bootloader_install_info`."""

    key: str
    status: str
    address: str = ""
    error: str = ""


class ProgressInfo(msgspec.Struct, frozen=True):
    """The body of `pass_deploy_progress`: chunks of 1 MiB, as text."""

    key: str
    part: Literal["writing", "verifying"]
    done: str
    total: str


class DoneInfo(msgspec.Struct, frozen=True):
    """The body of `pass_deploy_done`."""

    key: str


class ListWanted(msgspec.Struct, frozen=True):
    """The body of `get_deploy_plan`; the size of the disk is in bytes, as text.

    `public_key` is what the answer is encrypted to: X25519, in hexadecimal.
    """

    key: str
    address: str
    disk_bytes: str
    public_key: str
    macs: str = ""
    serial: str = ""
    disk_model: str = ""
    disk_serial: str = ""


class Waiting(Protocol):
    """A node that is being deployed, as the API meets it. The calls come from other threads."""

    peer: Peer
    """Who is believed to be the node."""

    def ramdisk_up(self, agent: AgentInfo, machine: Machine) -> bool:
        """The ramdisk of this machine offers its disk; False where that is not waited for."""

    def ramdisk_failed(self, error: str) -> bool:
        """The ramdisk cannot go on; False where it is not waited for."""

    def write_list(self, agent: AgentInfo, machine: Machine, public: bytes) -> bytes | None:
        """What the node is to write, encrypted to `public`; None where that is not waited for."""

    def progress(self, part: str, done: int, total: int) -> bool:
        """How far the node is; False where it does not write."""

    def written(self) -> bool:
        """The node has written its disk; False where it was not to."""

    def bootloader(self, error: str) -> bool:
        """The boot loader is installed (no error) or not; False where it is not waited for."""


Info = TypeVar("Info", DeployInfo, BootloaderInfo, ProgressInfo, DoneInfo, ListWanted)
NOT_WAITED_FOR = "the node is not waiting for this"


def routes(nodes: Mapping[UUID, Waiting]) -> Routes:
    """The calls, for an HTTP server; `nodes` are those that are deployed now."""
    return {("POST", PATH): lambda request: answer(request, nodes)}


def answer(request: Request, nodes: Mapping[UUID, Waiting]) -> Response:
    """Serve one call, whose path is of the form PATH."""
    call = request.parameters["call"]
    try:
        node = _node(request.parameters["node"], nodes)
        node.peer.check(_asker(request))
        if call == "get_deploy_plan":
            return Response(200, _write_list(node, request), "application/octet-stream")
        if not CALLS[call](node, request):
            raise Refused(409, NOT_WAITED_FOR)
    except Refused as refused:
        return Response(refused.status, _fault(str(refused)), reason=str(refused))
    except BakeryError as error:
        return Response(400, _fault(error.message), reason=error.message)
    return Response(ACCEPTED)


def _node(text: str, nodes: Mapping[UUID, Waiting]) -> Waiting:
    try:
        return nodes[UUID(text)]
    except (ValueError, KeyError):
        raise Refused(404, f"node {shown(text)} could not be found") from None


def _asker(request: Request) -> Asker:
    return Asker(request.client, request.headers.get("x-auth-token", "").strip())


def _believed(node: Waiting, request: Request, kind: type[Info]) -> Info:
    """The body of a call; Refused where it is none, or lacks this try's key."""
    info = _decoded(request.body, kind)
    node.peer.check(_asker(request), info.key)
    return info


def _deploy_info(node: Waiting, request: Request) -> bool:
    info = _believed(node, request, DeployInfo)
    if info.error:
        return node.ramdisk_failed(_words(info.error))
    address = _own(info.address, request)
    return node.ramdisk_up(AgentInfo(address, _iqn(info.iqn), bool(info.chap)), _machine(info))


def _bootloader_info(node: Waiting, request: Request) -> bool:
    info = _believed(node, request, BootloaderInfo)
    if info.status == SUCCEEDED and not info.error:
        return node.bootloader("")
    return node.bootloader(_words(info.error) or f"status {_words(info.status)}")


def _progress(node: Waiting, request: Request) -> bool:
    news = _believed(node, request, ProgressInfo)
    done, total = _count(news.done), _count(news.total)
    return node.progress(news.part, min(done, total), total)


def _done(node: Waiting, request: Request) -> bool:
    _believed(node, request, DoneInfo)
    return node.written()


def _write_list(node: Waiting, request: Request) -> bytes:
    wanted = _believed(node, request, ListWanted)
    agent = AgentInfo(_own(wanted.address, request), "")
    listed = node.write_list(agent, _machine(wanted), _public(wanted.public_key))
    if listed is None:
        raise Refused(409, NOT_WAITED_FOR)
    return listed


CALLS = {
    "pass_deploy_info": _deploy_info,
    "pass_bootloader_install_info": _bootloader_info,
    "pass_deploy_progress": _progress,
    "pass_deploy_done": _done,
}


def _decoded(body: bytes, kind: type[Info]) -> Info:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(400, f"the body cannot be read: {error}") from None


def _own(text: str, request: Request) -> str:
    """The address a node says it has, which must be the one it asks from.

    Whatever it offers is written to, and let go, at that address: nobody names another's.
    """
    try:
        address = plain_address(text)
    except BakeryError as error:
        raise Refused(400, error.message) from None
    if address != ipaddress.ip_address(request.client):
        raise Refused(403, f"{address} is not this client's address, {request.client}")
    return str(address)


def _machine(info: DeployInfo | ListWanted) -> Machine:
    """What the node says that it is, fit for messages; what is no MAC is left out."""
    macs = info.macs.lower().split(",")[:CARDS_LIMIT]
    return Machine(
        macs=tuple(mac for mac in macs if MAC.fullmatch(mac)),
        serial=printable(info.serial, NAME_LIMIT),
        disk_model=printable(info.disk_model, NAME_LIMIT),
        disk_serial=printable(info.disk_serial, NAME_LIMIT),
        disk_bytes=_count(info.disk_bytes) if info.disk_bytes else 0,
    )


def _iqn(text: str) -> str:
    if not IQN.fullmatch(text):
        raise Refused(400, f"{shown(text)} is not an iSCSI target name")
    return text


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Refused(400, f"{shown(text)} is not a number")
    return int(text)


def _public(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise Refused(400, f"{shown(text)} is not hexadecimal") from None


def _words(text: str) -> str:
    """What the node says of itself, fit for one line of a message."""
    return printable(" ".join(text.split()), TEXT_LIMIT)


def _fault(reason: str) -> bytes:
    told = {"faultstring": reason, "faultcode": "Client", "debuginfo": None}
    return json.dumps({"error_message": json.dumps(told)}).encode()
