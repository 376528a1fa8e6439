"""A conductor whose nodes boot from media: what it serves, to whom, and what it does not."""

import contextlib
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import pytest

from bakery.bmc.access import IpmiAccess, RedfishAccess
from bakery.conductor import conductor as module
from bakery.conductor import media_shelf, network
from bakery.conductor.conductor import Conductor
from bakery.conductor.journal import AgentInfo, Deployment
from bakery.conductor.media import ByMedia, MediaOffer
from bakery.conductor.media_shelf import MediaShelf
from bakery.conductor.messages import Media, NodeSpec, Request, StaticNetwork
from bakery.conductor.peer import Peer, Refused
from bakery.host.errors import BakeryError
from bakery.host.report import Event, Report, silent
from bakery.netboot.tree import Asker
from tests.conductor import builds
from tests.netboot.media import kernel

MAC = "52:54:00:4c:00:01"
SECONDS = 60


def node(number=1, bmc=None, network=None):
    access = bmc or RedfishAccess("https://127.0.0.1")
    return NodeSpec(f"node-{number}", UUID(int=number), MAC, access, network=network)


@pytest.fixture(autouse=True)
def port(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
    monkeypatch.setattr(media_shelf, "MEDIA_PORT", number)
    return number


@pytest.fixture
def ramdisk(tmp_path):
    folder = tmp_path / "ramdisk"
    folder.mkdir()
    kernel(folder / "deploy-kernel")
    (folder / "deploy-ramdisk").write_bytes(b"ramdisk" * 1000)
    return folder


@pytest.fixture
def shelf(ramdisk, tmp_path):
    return MediaShelf(Media(), ramdisk, tmp_path / "state", silent())


def get(place, context=None):
    try:
        with urllib.request.urlopen(place, timeout=SECONDS, context=context) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def offered(shelf, spec):
    peer = Peer(lambda _address: False)
    return shelf.offer(spec, peer, lambda _deployment: ("console=ttyS0",))


def test_each_node_has_a_medium_of_its_own_of_one_iso(shelf, tmp_path):
    offers = [offered(shelf, node(number)) for number in (1, 2)]
    events: list[Any] = []
    with shelf.serving(events.append):
        for offer in offers:
            offer.ramdisk(Deployment.fresh())
        one, other = (get(offer.place) for offer in offers)
        assert (one[0], other[0]) == (200, 200)
        assert one[1] != other[1] and len(one[1]) == len(other[1])
        offers[0].nothing()
        assert get(offers[1].place)[0] == 200
    assert len(list((tmp_path / "state").glob("media-*.iso"))) == 1
    assert events and all("/media/******/" in event.path for event in events)


def test_who_is_no_bmc_of_these_nodes_takes_none_of_their_places(shelf):
    offer = offered(shelf, node(1))
    with shelf.serving(lambda _event: None), contextlib.ExitStack() as stack:
        offer.ramdisk(Deployment.fresh())
        port = urlsplit(offer.place).port
        for last in range(2, 12):
            for _ in range(16):
                link = socket.socket()
                stack.enter_context(link)
                link.bind((f"127.0.0.{last}", 0))
                link.connect(("127.0.0.1", port))
        assert get(offer.place)[0] == 200


def test_without_a_certificate_the_level_of_trust_is_told(ramdisk, tmp_path):
    told: list[Event] = []
    MediaShelf(Media(), ramdisk, tmp_path, Report(told.append))
    assert any("learns these tries' secrets" in event.text for event in told)


def test_with_a_certificate_media_are_served_by_https_alone(ramdisk, tmp_path, port):
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=bakery"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key"]
    subprocess.run([*words, "-out", tmp_path / "pem"], check=True, capture_output=True)
    told: list[Event] = []
    media = Media(str(tmp_path / "pem"), str(tmp_path / "key"))
    shelf = MediaShelf(media, ramdisk, tmp_path / "state", Report(told.append))
    assert not any("secrets" in event.text for event in told)
    offer = offered(shelf, node())
    with shelf.serving(lambda _event: None):
        offer.ramdisk(Deployment.fresh())
        assert offer.place.startswith(f"https://127.0.0.1:{port}/")
        trusting = ssl.create_default_context(cafile=tmp_path / "pem")
        assert get(offer.place, trusting)[0] == 200


@pytest.fixture
def request_of(ramdisk, tmp_path):
    def make(*nodes, layout="disk", **changes):
        build = builds.build(tmp_path / "build", layout)
        builds.with_packed_base(build)
        usual = Request(
            nodes=nodes or (node(),),
            build=str(build.directory),
            ramdisk=str(ramdisk),
            interface="lo",
            address="127.0.0.1/8",
            state=str(tmp_path / "state"),
            method="direct",
            media=Media(),
        )
        return msgspec.structs.replace(usual, **changes)

    return make


@pytest.fixture
def deploys(monkeypatch):
    """What each deploy was made of; none does anything."""
    made = []

    def make(name, uuid, wanted, means, journal, report, bounds):
        record = SimpleNamespace(agent=None, name=name, node=uuid, state="running", reason="")
        record.attempt, record.visits, record.sign = 1, (), ""
        deploy = SimpleNamespace(means=means, record=record, name=name, calls=SimpleNamespace())
        deploy.run = deploy.halt = lambda: None
        made.append(deploy)
        return deploy

    monkeypatch.setattr(module, "NodeDeploy", make)
    monkeypatch.setattr(module, "API_PORT", 0)
    return made


def test_nothing_but_media_and_the_api_is_served(request_of, deploys, monkeypatch):
    started = []
    monkeypatch.setattr(network, "opened", lambda *_: started.append("DHCP"))
    for name in ("TftpServer", "RouterAdvertiser"):
        monkeypatch.setattr(module, name, lambda *_, name=name, **__: started.append(name))
    results = Conductor(request_of(), silent()).work()
    assert [result.state for result in results] == ["running"]
    assert started == []
    (deploy,) = deploys
    assert isinstance(deploy.means.power, ByMedia)
    assert isinstance(deploy.means.boot, MediaOffer)
    assert deploy.means.local


def check(peer, address):
    try:
        peer.check(Asker(address, "no token"))
    except Refused as refused:
        return refused.status
    return 200


def test_a_node_is_who_has_its_address_or_brings_the_secrets_first(request_of, deploys):
    static = StaticNetwork(MAC, "192.0.2.5/24")
    Conductor(request_of(node(1, network=static), node(2)), silent()).work()
    own, any_address = (deploy.means.peer for deploy in deploys)
    assert (check(own, "192.0.2.5"), check(own, "192.0.2.6")) == (401, 403)
    assert check(any_address, "192.0.2.6") == 401
    deploys[1].record.agent = AgentInfo("192.0.2.7", "iqn.a")
    assert check(any_address, "192.0.2.6") == 403


def test_a_node_whose_bmc_has_no_drive_is_refused_before_any_is_begun(request_of, deploys):
    nodes = (node(1), node(2, bmc=IpmiAccess("127.0.0.1")))
    with pytest.raises(BakeryError, match="the BMC of node-2 is accessed over IPMI"):
        Conductor(request_of(*nodes), silent()).work()


@pytest.mark.parametrize("layout", ["pv", "lv"])
def test_a_system_that_boots_over_the_network_is_refused(request_of, layout):
    with pytest.raises(BakeryError, match="boots over the network at every start"):
        Conductor(request_of(layout=layout), silent())
