"""The two calls that a node's ramdisk makes, as Ironic's classic vendor_passthru had them.

`POST {api}/v1/nodes/{id}/vendor_passthru/pass_deploy_info` and `…/pass_bootloader_install_info`,
with `X-Auth-Token` and a JSON body, answered with 202. What was refused is told as Ironic's API
told it: `{"error_message": "{\\"faultstring\\": …}"}`.
"""

import hmac
import ipaddress
import json
from collections.abc import Mapping
from typing import Literal, Protocol, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec

from bakery.deploy.iscsi import IQN
from bakery.deploy.journal import AgentInfo, Deployment
from bakery.errors import BakeryError
from bakery.serve.http_message import Request, Response, Routes
from bakery.system.shown import shown

TEXT_LIMIT = 4096
PATH = (
    r"/v1/nodes/(?P<node>[^/]{1,64})/vendor_passthru/"
    r"(?P<call>pass_deploy_info|pass_bootloader_install_info|pass_deploy_progress|pass_deploy_done)"
    r"/?"
)
PLAN_PATH = r"/v1/nodes/(?P<node>[^/]{1,64})/vendor_passthru/get_deploy_plan"
SUCCEEDED = "SUCCEEDED"
ACCEPTED = 202


class DeployInfo(msgspec.Struct, frozen=True):
    """The body of `pass_deploy_info`; `error` is empty where the ramdisk is ready."""

    key: str
    address: str = ""
    iqn: str = ""
    error: str = ""


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


class Waiting(Protocol):
    """A node that is being deployed, as the API meets it. The calls come from other threads."""

    @property
    def deployment(self) -> Deployment:
        """What the node must know."""

    def ramdisk_up(self, agent: AgentInfo) -> bool:
        """The ramdisk offers its disk; False where that is not waited for."""

    def ramdisk_failed(self, error: str) -> bool:
        """The ramdisk cannot go on; False where it is not waited for."""

    def plan(self, agent: AgentInfo, disk_bytes: int) -> bytes | None:
        """What the node is to write; None where that is not waited for."""

    def progress(self, part: str, done: int, total: int) -> bool:
        """How far the node is; False where it does not write."""

    def written(self) -> bool:
        """The node has written its disk; False where it was not to."""

    def bootloader(self, error: str) -> bool:
        """The boot loader is installed (no error) or not; False where it is not waited for."""


Info = TypeVar("Info", DeployInfo, BootloaderInfo, ProgressInfo, DoneInfo)


class _Refused(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def routes(nodes: Mapping[UUID, Waiting]) -> Routes:
    """The calls, for an HTTP server; `nodes` are those that are deployed now."""
    return {
        ("POST", PATH): lambda request: answer(request, nodes),
        ("GET", PLAN_PATH): lambda request: give_plan(request, nodes),
    }


def answer(request: Request, nodes: Mapping[UUID, Waiting]) -> Response:
    """Serve one call, whose path is of the form PATH."""
    try:
        node = _node(request.parameters["node"], nodes)
        _check_token(request.headers.get("x-auth-token", ""), node.deployment)
        take = CALLS[request.parameters["call"]]
        if not take(node, request.body):
            raise _Refused(409, "the node does not wait for this")
    except _Refused as refused:
        return Response(refused.status, _fault(str(refused)))
    return Response(ACCEPTED)


def _node(text: str, nodes: Mapping[UUID, Waiting]) -> Waiting:
    try:
        return nodes[UUID(text)]
    except (ValueError, KeyError):
        raise _Refused(404, f"node {shown(text)} could not be found") from None


def _check_token(token: str, deployment: Deployment) -> None:
    if not hmac.compare_digest(token.strip().encode(), deployment.token.encode()):
        raise _Refused(401, "the token is not this deployment's")


def _check_key(key: str, deployment: Deployment) -> None:
    if not hmac.compare_digest(key.encode(), deployment.key.encode()):
        raise _Refused(400, "the deployment key does not match")


def _deploy_info(node: Waiting, body: bytes) -> bool:
    info = _decoded(body, DeployInfo)
    _check_key(info.key, node.deployment)
    if info.error:
        return node.ramdisk_failed(_words(info.error))
    return node.ramdisk_up(AgentInfo(_address(info.address), _iqn(info.iqn)))


def _bootloader_info(node: Waiting, body: bytes) -> bool:
    info = _decoded(body, BootloaderInfo)
    _check_key(info.key, node.deployment)
    if info.status == SUCCEEDED and not info.error:
        return node.bootloader("")
    return node.bootloader(_words(info.error) or f"status {_words(info.status)}")


def _progress(node: Waiting, body: bytes) -> bool:
    news = _decoded(body, ProgressInfo)
    _check_key(news.key, node.deployment)
    done, total = _count(news.done), _count(news.total)
    return node.progress(news.part, min(done, total), total)


def _done(node: Waiting, body: bytes) -> bool:
    info = _decoded(body, DoneInfo)
    _check_key(info.key, node.deployment)
    return node.written()


CALLS = {
    "pass_deploy_info": _deploy_info,
    "pass_bootloader_install_info": _bootloader_info,
    "pass_deploy_progress": _progress,
    "pass_deploy_done": _done,
}


def give_plan(request: Request, nodes: Mapping[UUID, Waiting]) -> Response:
    """Answer a node that asks what to write: 200 and the signed plan."""
    try:
        node = _node(request.parameters["node"], nodes)
        _check_token(request.headers.get("x-auth-token", ""), node.deployment)
        words = dict(parse_qsl(request.query, max_num_fields=8))
        _check_key(words.get("key", ""), node.deployment)
        agent = AgentInfo(_address(words.get("address", "")), "")
        plan = node.plan(agent, _count(words.get("disk_bytes", "")))
        if plan is None:
            raise _Refused(409, "the node does not wait for this")
    except _Refused as refused:
        return Response(refused.status, _fault(str(refused)))
    except BakeryError as error:
        return Response(400, _fault(error.message))
    return Response(200, plan, "application/octet-stream")


def _decoded(body: bytes, kind: type[Info]) -> Info:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _Refused(400, f"the body cannot be read: {error}") from None


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise _Refused(400, f"{shown(text)} is no IP address") from None


def _iqn(text: str) -> str:
    if not IQN.fullmatch(text):
        raise _Refused(400, f"{shown(text)} is no iSCSI target name")
    return text


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise _Refused(400, f"{shown(text)} is no number")
    return int(text)


def _words(text: str) -> str:
    """What the node says of itself, fit for one line of a message."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[:TEXT_LIMIT]).split())


def _fault(reason: str) -> bytes:
    told = {"faultstring": reason, "faultcode": "Client", "debuginfo": None}
    return json.dumps({"error_message": json.dumps(told)}).encode()
