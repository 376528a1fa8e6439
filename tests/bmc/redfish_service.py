"""A BMC that answers Redfish out of a tree of JSON, over TLS: what a client does is recorded.

Reads are replayed. Of writes it knows those that a client of ours makes: sessions, PATCH of a
resource, the reset of a system, media in and out; each as DSP0266 has it. `fault` may answer, or
break off, any request before that.
"""

import base64
import contextlib
import copy
import hashlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bakery.bmc import redfish_worker
from bakery.bmc.answer import Answer
from bakery.bmc.redfish_worker import Order
from bakery.lab import authority
from tests.conftest import REPOSITORY

SHARED = REPOSITORY.parent / "shared/redfish"
SESSIONS = "/redfish/v1/SessionService/Sessions"
MONITOR = "/redfish/v1/TaskService/TaskMonitors/1"
USER, PASSWORD = "admin", "correct horse"
Tree = dict[str, Any]


def replayed(maker: str) -> Tree:
    """A maker's answers, by their path; skips where they are not there."""
    folder = SHARED / maker
    if not folder.is_dir():
        pytest.skip(f"no answers of {maker}: {folder} is not there")
    tree: Tree = {}
    for file in sorted(folder.rglob("*.json")):
        inner = file.relative_to(folder)
        if inner.name == "index.json":
            path = f"/redfish/v1/{inner.parent.as_posix()}".removesuffix("/.")
        else:
            path = "/" + file.stem.lstrip("_").replace("_", "/")
        document = json.loads(file.read_text())
        if isinstance(document, dict):
            tree[document.get("@odata.id", path).rstrip("/")] = document
    for document in list(tree.values()):
        for member in document.get("Members") or []:
            if len(member) > 1:  # it is given whole
                tree.setdefault(member["@odata.id"], member)
    return tree


def standard() -> Tree:
    """A service with all that a client needs, and nothing of any maker's own."""
    root, system = "/redfish/v1", "/redfish/v1/Systems/1"
    tree: Tree = {
        root: {
            "Id": "RootService",
            "Name": "Root",
            "RedfishVersion": "1.15.0",
            "Systems": {"@odata.id": f"{root}/Systems"},
            "Managers": {"@odata.id": f"{root}/Managers"},
            "SessionService": {"@odata.id": f"{root}/SessionService"},
            "Links": {"Sessions": {"@odata.id": SESSIONS}},
        },
        f"{root}/Systems": {"Name": "Systems", "Members": [{"@odata.id": system}]},
        system: {
            "Id": "1",
            "Name": "System",
            "Manufacturer": "Contoso",
            "SerialNumber": "SN-1",
            "PowerState": "Off",
            "Boot": {
                "BootSourceOverrideEnabled": "Disabled",
                "BootSourceOverrideTarget": "None",
                "BootSourceOverrideMode": "UEFI",
                "BootSourceOverrideTarget@Redfish.AllowableValues": [
                    "None", "Pxe", "Cd", "Hdd", "UefiHttp",
                ],
            },
            "EthernetInterfaces": {"@odata.id": f"{system}/EthernetInterfaces"},
            "VirtualMedia": {"@odata.id": f"{system}/VirtualMedia"},
            "Actions": {
                "#ComputerSystem.Reset": {
                    "target": f"{system}/Actions/ComputerSystem.Reset",
                    "ResetType@Redfish.AllowableValues": ["On", "ForceOff"],
                }
            },
        },
        f"{system}/EthernetInterfaces": {
            "Name": "Cards",
            "Members": [{"@odata.id": f"{system}/EthernetInterfaces/{n}"} for n in (1, 2)],
        },
        f"{system}/EthernetInterfaces/1": {"Id": "1", "MACAddress": "52-54-00-AA-00-01"},
        f"{system}/EthernetInterfaces/2": {"Id": "2", "MACAddress": "00:00:00:00:00:00"},
        f"{system}/VirtualMedia": {
            "Name": "Media",
            "Members": [{"@odata.id": f"{system}/VirtualMedia/{name}"} for name in ("Usb", "Cd")],
        },
        f"{system}/VirtualMedia/Usb": drive(f"{system}/VirtualMedia/Usb", "USBStick"),
        f"{system}/VirtualMedia/Cd": drive(f"{system}/VirtualMedia/Cd", "CD", "DVD"),
    }  # fmt: skip
    return {path: {"@odata.id": path} | document for path, document in tree.items()}


def drive(path: str, *types: str, actions: bool = True) -> Tree:
    """A virtual drive that is empty."""
    found: Tree = {
        "@odata.id": path,
        "Id": path.rpartition("/")[2],
        "Name": "Drive",
        "MediaTypes": list(types),
        "ConnectedVia": "NotConnected",
        "Image": None,
        "Inserted": False,
        "WriteProtected": True,
    }
    if actions:
        found["Actions"] = {
            f"#VirtualMedia.{name}": {"target": f"{path}/Actions/VirtualMedia.{name}"}
            for name in ("InsertMedia", "EjectMedia")
        }
    return found


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Told:
    """An answer, or what comes in its place: `raw` writes to the socket by itself."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: Callable[[BaseHTTPRequestHandler], None] | None = None


def refused(status: int, message_id: str, message: str = "", **more: object) -> Told:
    """An error as DSP0266, 8.6 has it."""
    entry = {"MessageId": f"Base.1.8.{message_id}", "Message": message or message_id} | more
    error = {"code": entry["MessageId"], "message": "See @Message.ExtendedInfo"}
    return Told(status, {"error": error | {"@Message.ExtendedInfo": [entry]}})


class Service:
    """The BMC. `asked` are the requests that came, `sessions` those that are open.

    `slow_power` is how many reads of a system pass until a reset has happened, `task_reads` how
    many of a task until it has ended: 0 has no tasks. `deaf` says yes and does nothing.
    """

    def __init__(self, tree: Tree, fault: Callable[[Asked], Told | None] | None = None) -> None:
        self.tree = copy.deepcopy(tree)
        self.fault = fault or (lambda _asked: None)
        self.asked: list[Asked] = []
        self.sessions: dict[str, str] = {}
        self.slow_power = self.task_reads = 0
        self.deaf = self.needs_etag = False
        self.url = self.ca = ""
        self._pending: list[tuple[int, Callable[[], None]]] = []
        self._lock = threading.RLock()

    @property
    def writes(self) -> list[tuple[str, str, Any]]:
        """What was to be changed, sessions left out."""
        return [
            (asked.method, asked.path, asked.body)
            for asked in self.asked
            if asked.method != "GET" and not asked.path.startswith(SESSIONS)
        ]

    def answer(self, asked: Asked) -> Told:
        """What a request is answered with."""
        with self._lock:
            self.asked.append(asked)
            if told := self.fault(asked):
                return told
            if asked.path == SESSIONS and asked.method == "POST":
                return self._log_in(asked)
            if asked.path != "/redfish/v1" and not self._knows(asked):
                return refused(401, "NoValidSession")
            if asked.path.startswith(f"{SESSIONS}/") and asked.method == "DELETE":
                return Told(204 if self.sessions.pop(asked.path, None) else 404)
            if asked.path == MONITOR:
                return self._monitor()
            act = {"GET": self._get, "PATCH": self._patch, "POST": self._post}
            return act[asked.method](asked) if asked.method in act else Told(405)

    def etag(self, path: str) -> str:
        """A weak one, as most have."""
        text = json.dumps(self.tree[path], sort_keys=True)
        return self.tree[path].get("@odata.etag") or f'W/"{hashlib.md5(text.encode()).hexdigest()}"'

    def _log_in(self, asked: Asked) -> Told:
        if asked.body != {"UserName": USER, "Password": PASSWORD}:
            return refused(401, "ResourceAtUriUnauthorized", "Invalid username or password")
        place, token = f"{SESSIONS}/{len(self.asked)}", f"token-{len(self.asked)}"
        self.sessions[place] = token
        return Told(201, {"@odata.id": place}, {"X-Auth-Token": token, "Location": place})

    def _knows(self, asked: Asked) -> bool:
        if asked.headers.get("X-Auth-Token") in self.sessions.values():
            return True
        basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return asked.headers.get("Authorization") == f"Basic {basic}"

    def _get(self, asked: Asked) -> Told:
        if asked.path not in self.tree:
            return refused(404, "ResourceMissingAtURI")
        if "PowerState" in self.tree[asked.path]:
            self._pass()
        media = "MediaTypes" in self.tree[asked.path]
        allow = "GET, HEAD, PATCH" if media or "Boot" in self.tree[asked.path] else "GET, HEAD"
        return Told(200, self.tree[asked.path], {"ETag": self.etag(asked.path), "Allow": allow})

    def _patch(self, asked: Asked) -> Told:
        if asked.path not in self.tree:
            return refused(404, "ResourceMissingAtURI")
        match = asked.headers.get("If-Match")
        if match is None and self.needs_etag:
            return refused(428, "PreconditionRequired")
        if match is not None and match != self.etag(asked.path):
            return refused(412, "PreconditionFailed")
        return self._do(lambda: _merge(self.tree[asked.path], asked.body))

    def _post(self, asked: Asked) -> Told:
        for path, document in self.tree.items():
            for name, action in (document.get("Actions") or {}).items():
                if isinstance(action, dict) and action.get("target") == asked.path:
                    return self._act(path, name.removeprefix("#"), asked.body or {})
        return refused(404, "ActionNotSupported")

    def _act(self, path: str, name: str, body: Mapping[str, Any]) -> Told:
        resource = self.tree[path]
        if name == "ComputerSystem.Reset":
            state = "Off" if body["ResetType"] == "ForceOff" else "On"
            later = lambda: resource.update(PowerState=state)  # noqa: E731
            return self._do(lambda: self._pending.append((self.slow_power, later)))
        if name == "VirtualMedia.InsertMedia":
            if resource["Inserted"]:
                return refused(400, "ResourceInUse" if self.deaf else "GeneralError")
            changes = {"Image": body["Image"], "Inserted": True, "ConnectedVia": "URI"}
            return self._do(lambda: resource.update(changes))
        assert name == "VirtualMedia.EjectMedia"
        changes = {"Image": None, "Inserted": False, "ConnectedVia": "NotConnected"}
        return self._do(lambda: resource.update(changes))

    def _do(self, change: Callable[[], None]) -> Told:
        if self.deaf:
            return Told(204)
        if self.task_reads:
            self._pending.append((self.task_reads, change))
            return Told(202, {"TaskState": "New"}, {"Location": f"https://bmc.inside{MONITOR}"})
        change()
        self._pass()
        return Told(204)

    def _monitor(self) -> Told:
        self._pass()
        waits = bool(self._pending)
        return Told(202 if waits else 200, {"TaskState": "Running" if waits else "Completed"})

    def _pass(self) -> None:
        """What is under way gets on by one read."""
        due = [(left - 1, change) for left, change in self._pending]
        self._pending = [(left, change) for left, change in due if left >= 0]
        for left, change in due:
            if left < 0:
                change()


def _merge(into: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = value
    into.pop("@odata.etag", None)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: Service

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        path = urlsplit(self.path).path.rstrip("/")
        asked = Asked(self.command, path, json.loads(body) if body else None, dict(self.headers))
        told = self.service.answer(asked)
        if told.raw:
            told.raw(self)
            self.close_connection = True
            return
        text = b"" if told.body is None else json.dumps(told.body).encode()
        self.send_response(told.status)
        for name, value in told.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815 - as http.server calls them

    def log_message(self, *_words: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_words: object) -> None:
        pass  # a client that hangs up, or does not trust us


@contextlib.contextmanager
def serving(
    service: Service, folder: Path, *, tls: bool = True, port: int = 0
) -> Iterator[Service]:
    """The service on a socket of this machine, with a certificate of its own authority."""
    handler = type("Handler", (_Handler,), {"service": service})
    server = _Server(("127.0.0.1", port), handler)
    if tls:
        made = authority.make(folder, ["127.0.0.1"])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made.certificate, made.key)
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        service.ca = str(made.ca)
    service.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def silence(seconds: float) -> Told:
    """Nothing for so long, and then the end."""
    return Told(raw=lambda _handler: time.sleep(seconds))


def endless(handler: BaseHTTPRequestHandler) -> None:
    """A body that does not end."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    with contextlib.suppress(OSError):
        while True:
            handler.wfile.write(b" " * 65536)


def perform(service: Service, order: Order = "power", **more: Any) -> Answer:
    """What the program that asks a BMC answers, asked in this process."""
    usual: dict[str, Any] = {
        "origin": service.url,
        "system": "",
        "username": USER,
        "password": PASSWORD,
        "verify": service.ca or False,
        "auth_type": "auto",
        "seconds": 60.0,
        "silence": 30.0,
    }
    return redfish_worker.perform(redfish_worker.Request(order=order, **(usual | more)))
