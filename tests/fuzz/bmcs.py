"""What BMCs answer, and what the lab's are asked."""

import http.client
import io
import json
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock
from urllib.parse import urlsplit
from uuid import UUID

import requests

from bakery.bmc import ipmi_fru, redfish_wire, redfish_worker
from bakery.bmc.redfish_wire import Wire, retry_after
from bakery.bmc.redfish_worker import Order, Request
from bakery.lab import drive, state
from bakery.lab.orders import Orders
from bakery.lab.redfish_bmc import RedfishBmc
from bakery.lab.redfish_server import RedfishServer, _Handler
from tests.bmc.redfish_service import SESSIONS, standard
from tests.bmc.test_ipmi_fru import USUAL, Bmc
from tests.fuzz.target import Target, latin

ORIGIN, SYSTEM = "https://192.0.2.7", "/redfish/v1/Systems/1"
DRIVE = f"{SYSTEM}/VirtualMedia/Cd"
TREE = standard()
REFUSED = b"""{"error": {"code": "Base.1.8.GeneralError", "message": "no",
"@Message.ExtendedInfo": [{"MessageId": "Base.1.8.PropertyUnknown", "Message": "no",
"RelatedProperties": ["#/TransferProtocolType"], "MessageArgs": ["a"], "Severity": "Warning"}]}}"""
ASKED = b"""PATCH /redfish/v1/Systems/1 HTTP/1.1\r
Authorization: Basic YWRtaW46c2VjcmV0\r
Content-Length: 95\r
If-Match: "x"\r
\r
{"Boot": {"BootSourceOverrideTarget": "Pxe", "BootSourceOverrideEnabled": "Once"}, "x": [1, 2]}
"""
POSTED = b"""POST /redfish/v1/Systems/1/VirtualMedia/CD/Actions/VirtualMedia.InsertMedia HTTP/1.1\r
Authorization: Basic YWRtaW46c2VjcmV0\r
Content-Length: 68\r
\r
{"Image": "http://192.0.2.1/x.iso", "TransferProtocolType": "HTTP"}
"""

SERVED = b"HTTP/1.1 200 OK\r\nAccept-Ranges: bytes\r\nContent-Length: 2048\r\n\r\n"


def targets(_work: Path) -> list[Target]:
    """All of them."""
    return [
        Target("inventory (FRU)", lambda d: ipmi_fru.product_serial(Bmc(d).ask), USUAL),
        Target("Redfish system", lambda d: _client(d, SYSTEM), _json(SYSTEM)),
        Target("Redfish drive", lambda d: _client(d, DRIVE), _json(DRIVE)),
        Target("Redfish root", lambda d: _client(d, "/redfish/v1"), _json("/redfish/v1")),
        Target("Redfish refusal", lambda d: _client(d, DRIVE, 400), REFUSED),
        Target("Redfish error", redfish_wire._error, REFUSED),
        Target("Retry-After", _retry_after, b"120"),
        Target("Redfish request", _asked, ASKED),
        Target("Redfish action", _asked, POSTED),
        Target("server of a medium", _looked, SERVED),
    ]


def _json(path: str) -> bytes:
    return json.dumps(TREE[path]).encode()


def _client(data: bytes, place: str, status: int = 200) -> object:
    """Our client at a BMC that answers with `data` at one place."""

    def send(_wire: Wire, request: requests.PreparedRequest, **_more: object) -> requests.Response:
        path = urlsplit(request.url or "").path.rstrip("/")
        response = requests.Response()
        response.request, response.url = request, str(request.url)
        response.status_code = status if path == place else 200
        response.headers["Allow"] = "GET, PATCH"
        if path == SESSIONS:
            response.status_code = 201
            response.headers["X-Auth-Token"] = "t"
            response.headers["Location"] = f"{SESSIONS}/1"
        content = data if path == place else json.dumps(TREE.get(path, {})).encode()
        response.raw = io.BytesIO(content)
        return response

    orders: tuple[Order, ...] = ("on", "boot", "insert", "eject", "identify")
    with mock.patch.object(Wire, "send", send):
        return [redfish_worker.perform(_request(order)) for order in orders]


def _request(order: Order) -> Request:
    return Request(
        order=order,
        origin=ORIGIN,
        system="",
        username="admin",
        password="secret",
        verify=True,
        auth_type="auto",
        url="http://192.0.2.1/x.iso",
        seconds=0,
        silence=0,
    )


def _retry_after(data: bytes) -> object:
    response = requests.Response()
    response.headers["Retry-After"] = latin(data)
    return retry_after(response)


class _Connection:
    """A client that has said all it has to say."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_words: object) -> io.BytesIO:
        return io.BytesIO(self._data)

    def sendall(self, _data: object) -> None:
        pass

    def close(self) -> None:
        pass

    def settimeout(self, _seconds: object) -> None:
        pass

    def setsockopt(self, *_words: object) -> None:
        pass


def _looked(data: bytes) -> object:
    """What the lab's drive is told of a medium by the server that has it."""

    def connect(link: http.client.HTTPConnection) -> None:
        link.sock = cast("socket.socket", _Connection(data))

    with mock.patch.object(http.client.HTTPConnection, "connect", connect):
        return drive.checked("http://192.0.2.1/x.iso")


def _asked(data: bytes) -> object:
    """The lab's BMC, asked by a client; its node is one that does nothing."""
    node = SimpleNamespace(
        bmc=state.BmcAccess("192.168.77.1", 6231, "admin", "secret"),
        hardware=SimpleNamespace(
            uuid=UUID(int=7), name="node-1", mac="52:54:00:4c:00:01", firmware="bios",
            cpus=1, memory_mib=512,
        ),
        on=False, media="", override=(None, True), fault="",
        power_on=_nothing, power_off=_nothing, insert_media=_nothing, eject_media=_nothing,
        boot_from=_nothing,
    )  # fmt: skip
    orders = Orders(wait_seconds=0)
    server = SimpleNamespace(bmc=RedfishBmc(cast("Any", node), orders))
    link = cast("socket.socket", _Connection(data))
    return _Handler(link, ("192.0.2.9", 4711), cast("RedfishServer", server))


def _nothing(*_words: object, **_options: object) -> None:
    pass
