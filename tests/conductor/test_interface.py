"""The interface that a rack boots over: what is refused before anything is served on it."""

import json
from ipaddress import IPv4Interface
from types import SimpleNamespace

import pytest

from bakery.conductor import interface
from bakery.host.errors import BakeryError
from bakery.host.run import CommandFailed

ADDRESS = {"family": "inet", "local": "192.0.2.1", "prefixlen": 24, "scope": "global"}
ETHERNET = {
    "ifname": "eno2",
    "flags": ["BROADCAST", "UP"],
    "addr_info": [ADDRESS, ADDRESS | {"local": "127.0.0.9", "scope": "host"}],
}


@pytest.fixture
def told(monkeypatch):
    """What ip(8) tells; an exception is raised instead."""

    def tell(answer):
        def run(words, **_):
            assert words[-1] == "eno2"
            if isinstance(answer, Exception):
                raise answer
            return SimpleNamespace(stdout=json.dumps(answer).encode())

        monkeypatch.setattr(interface, "run", run)

    return tell


def test_its_own_address_is_found(told):
    told([{}, ETHERNET])
    assert interface.address_of("eno2") == IPv4Interface("192.0.2.1/24")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (CommandFailed("ip", "ended with exit code 1"), "no interface eno2"),
        ([], "has no IPv4 address"),
        ([{}], "has no IPv4 address"),
        ([ETHERNET | {"addr_info": []}], "has no IPv4 address"),
        ([ETHERNET | {"flags": ["BROADCAST"]}], "is down"),
        ([ETHERNET | {"flags": ["LOOPBACK", "UP"]}], "loopback"),
        ([ETHERNET | {"addr_info": [ADDRESS, ADDRESS | {"local": "192.0.2.2"}]}], "several"),
    ],
)
def test_one_that_nodes_cannot_boot_over_is_refused_with_the_way_out(told, answer, words):
    told(answer)
    with pytest.raises(BakeryError, match=words) as caught:
        interface.address_of("eno2")
    assert caught.value.hint


@pytest.mark.parametrize("name", ["", "-batch", "a b", "a/b", "a" * 16])
def test_a_name_that_no_interface_can_have_is_not_asked_for(name):
    with pytest.raises(BakeryError, match="not the name of a network interface"):
        interface.address_of(name)


def test_the_loopback_of_this_machine_is_looked_up_really():
    with pytest.raises(BakeryError, match="loopback"):
        interface.address_of("lo")


@pytest.mark.parametrize(
    ("user", "has", "port", "missing"),
    [
        (0, {"CapEff": 1 << 10 | 1 << 13}, 1024, ""),
        (0, {"CapEff": 1 << 13}, 1024, "needs CAP_NET_BIND_SERVICE$"),
        (0, {"CapEff": 0}, 1024, "CAP_NET_BIND_SERVICE and CAP_NET_RAW"),
        (1000, {"CapEff": 1 << 10 | 1 << 13}, 1024, "CAP_NET_BIND_SERVICE and CAP_NET_RAW"),
        (1000, {"CapAmb": 1 << 10 | 1 << 13}, 1024, ""),
        (1000, {"CapAmb": 1 << 13}, 67, ""),
        (1000, {"CapAmb": 1 << 13}, 68, "needs CAP_NET_BIND_SERVICE$"),
    ],
)
def test_who_may_not_serve_is_told_before_anything_is_done(monkeypatch, user, has, port, missing):
    monkeypatch.setattr("os.geteuid", lambda: user)
    monkeypatch.setattr(interface, "_capabilities", lambda kind: has.get(kind, 0))
    monkeypatch.setattr(interface, "_lowest_open_port", lambda: port)
    if not missing:
        interface.check_privileges()
        return
    with pytest.raises(BakeryError, match=missing) as caught:
        interface.check_privileges()
    assert "sudo" in caught.value.hint


def test_this_process_capabilities_are_read():
    assert interface._capabilities("CapBnd") >= 0
    assert interface._capabilities("CapNone") == 0
