"""The lab's Redfish BMCs on the wire: what strangers send, and how much they may take up."""

import contextlib
import http.client
import socket
import ssl
import time

import msgspec
import pytest

from bakery.lab import authority
from bakery.lab.orders import Orders
from bakery.lab.redfish_bmc import RedfishBmc
from bakery.lab.redfish_server import CLIENTS_EACH, CLIENTS_LIMIT, Place, serving


@pytest.fixture
def orders():
    return Orders()


@pytest.fixture
def wire(node, orders, tmp_path):
    """The BMC's address, with the authority's file."""
    certificates = authority.make(tmp_path, ["127.0.0.1"])
    place = Place(RedfishBmc(node, orders), "127.0.0.1", 0)
    with serving([place], certificates) as (port,):
        yield f"https://127.0.0.1:{port}", str(certificates.ca)


def test_the_wire_bears_what_strangers_send(wire):
    url, ca = wire
    port = int(url.rpartition(":")[2])
    context = ssl.create_default_context(cafile=ca)

    def send(method, path, body=b"", headers=()):
        link = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=30)
        with contextlib.closing(link):
            link.putrequest(method, path)
            for name, value in headers:
                link.putheader(name, value)
            link.endheaders(body)
            return link.getresponse().status

    assert send("GET", "/redfish/v1/") == 200
    assert send("GET", "/redfish/v1/", headers=[("Content-Length", "99999999")]) == 413
    assert send("GET", "/redfish/v1/", headers=[("Content-Length", "x")]) == 400
    assert send("POST", "/x", headers=[("Transfer-Encoding", "chunked")]) == 400
    assert send("BREW", "/redfish/v1/") == 501
    assert send("HEAD", "/redfish/v1/") == 200
    plain = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    nothing = pytest.raises((OSError, http.client.HTTPException))
    with contextlib.closing(plain), nothing:
        plain.request("GET", "/redfish/v1/")
        plain.getresponse()
    assert send("GET", "/redfish/v1/") == 200


def test_one_client_cannot_take_all_time_and_many_are_bounded(wire):
    url, ca = wire
    port = int(url.rpartition(":")[2])
    with contextlib.ExitStack() as stack:
        for _ in range(CLIENTS_EACH):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 30))
        one_more = stack.enter_context(socket.create_connection(("127.0.0.1", port), 30))
        assert one_more.recv(1) == b"", "it is sent away"
        others = (f"127.0.0.{2 + number // CLIENTS_EACH}" for number in range(CLIENTS_LIMIT))
        for other in others:
            one_more = socket.create_connection(("127.0.0.1", port), 30, (other, 0))
            stack.enter_context(one_more)
        assert one_more.recv(1) == b"", "all places are taken"
    context = ssl.create_default_context(cafile=ca)
    limit = time.monotonic() + 60
    while True:
        link = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=30)
        with contextlib.closing(link), contextlib.suppress(OSError, http.client.HTTPException):
            link.request("GET", "/redfish/v1/")
            assert link.getresponse().status == 200
            return
        assert time.monotonic() < limit


def test_the_ports_are_free_again_afterwards(node, orders, tmp_path):
    certificates = authority.make(tmp_path, ["127.0.0.1"])
    places = [Place(RedfishBmc(node, orders), "127.0.0.1", 0) for _ in range(3)]
    with serving(places, certificates) as ports:
        assert len(set(ports)) == 3
        with (
            pytest.raises(OSError),
            serving([msgspec.structs.replace(places[0], port=ports[0])], certificates),
        ):
            pass
    for port in ports:
        with socket.create_server(("127.0.0.1", port)):
            pass
