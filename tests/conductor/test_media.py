"""A node's medium: for whom it is, for how long, and what is in it; the sockets are real ones."""

import http.client
from ipaddress import IPv4Address, IPv4Interface
from uuid import UUID

import pytest

from bakery.bmc.access import IpmiAccess, RedfishAccess
from bakery.bmc.bmc import Identity
from bakery.conductor.journal import AgentInfo, Deployment, Record
from bakery.conductor.media import ByMedia, MediaOffer, Reader, reader, refuse_layout
from bakery.conductor.offer import NodeOffer
from bakery.conductor.peer import SPENT, Peer
from bakery.conductor.wanted import Wanted
from bakery.host.errors import BakeryError
from bakery.netboot.http import HttpServer
from bakery.netboot.node_network import NodeNetwork
from bakery.netboot.tree import Tree
from bakery.node.agent import kernel_args
from tests.conductor import builds
from tests.netboot.media import small

NODE = UUID("6a3c9a3e-4b5f-4c39-9d5b-0f6a2b1c7d11")
NETWORK = NodeNetwork("52:54:00:4c:00:01", IPv4Interface("10.0.0.5/24"), IPv4Address("10.0.0.1"))
BMC, ANOTHER = "127.0.0.2", "127.0.0.3"
API = "http://192.0.2.1:6385"
SECONDS = 60


@pytest.fixture(scope="module")
def medium(tmp_path_factory):
    return small(tmp_path_factory.mktemp("medium"))


class Offered:
    def __init__(self, medium, build, server, peer):
        self.server, self.peer, self.events = server, peer, []
        asked = Reader(frozenset({BMC}), IPv4Address("127.0.0.1"))

        node = NodeOffer(
            *(Tree(), API, NODE, (NETWORK.mac,), peer, build, build.directory),
            root_device="size=>= 10",
            direct=True,
        )
        self.offer = MediaOffer(
            *(server._site.tree, server.url, NODE, medium, asked, peer, NETWORK, node.arguments)
        )

    def ask(self, method="GET", source=BMC, place="", **headers):
        """The status, the headers in lower case, and the body, as a BMC at `source` gets them."""
        path = (place or self.offer.place).removeprefix(self.server.url)
        link = http.client.HTTPConnection(
            "127.0.0.1", self.server.port, timeout=SECONDS, source_address=(source, 0)
        )
        try:
            link.request(method, path, headers=headers)
            answer = link.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, told, answer.read()
        finally:
            link.close()


@pytest.fixture
def events():
    return []


@pytest.fixture
def offered(medium, tmp_path, events):
    build = builds.build(tmp_path / "build", "disk")
    with HttpServer("127.0.0.1", Tree(), events.append) as server:
        yield Offered(medium, build, server, Peer(lambda address: address == "10.0.0.5"))


def record(deployment, agent=None):
    wanted = Wanted(build="k1", name="sample")
    return Record(
        node=NODE, name="n", wanted=wanted, state="ramdisk", deployment=deployment, agent=agent
    )


def test_its_bmc_reads_it_whole_and_by_ranges(offered, medium):
    offered.offer.ramdisk(Deployment.fresh())
    status, head, nothing = offered.ask("HEAD")
    assert (status, head["accept-ranges"], nothing) == (200, "bytes", b"")
    assert int(head["content-length"]) == medium.size_bytes
    status, _, whole = offered.ask()
    assert (status, len(whole)) == (200, medium.size_bytes)
    for start, end in ((0, 2047), (medium.own_at - 100, medium.own_at + 100), (-2048, None)):
        wanted = f"bytes={start}-{end}" if end else f"bytes={start}"
        status, head, part = offered.ask(Range=wanted)
        assert (status, part) == (206, whole[start : end + 1 if end else None])
    assert head["content-range"].endswith(f"/{medium.size_bytes}")
    assert offered.ask(Range=f"bytes={medium.size_bytes}-")[0] == 416


def test_all_that_the_agent_needs_is_in_it_and_its_secrets_are_not_in_the_menu(offered, medium):
    deployment = Deployment.fresh()
    offered.offer.ramdisk(deployment)
    _, _, whole = offered.ask()
    line = next(line for line in whole[medium.menu_at :].split(b"\n") if b"linux " in line)
    words = line.decode().split(maxsplit=2)[2].replace("'", '"')
    told = kernel_args.parse(words)
    assert (told.deployment_id, told.api_url, told.mac) == (str(NODE), API, NETWORK.mac)
    assert told.address and told.address.client == "10.0.0.5"
    assert told.root_device == "size=>= 10"
    assert told.plan_key == deployment.public_key
    assert told.deployment_key == told.token == ""
    own = whole[medium.own_at : medium.own_at + 4096]
    for secret in (deployment.key, deployment.token):
        assert secret.encode() in own
        assert whole.count(secret.encode()) == 1
    assert deployment.signing_key.encode() not in whole


def test_nobody_else_gets_it_and_no_other_name_leads_to_it(offered):
    offered.offer.ramdisk(Deployment.fresh())
    assert offered.ask(source=ANOTHER)[0] == 403
    assert offered.ask("HEAD", source=ANOTHER)[0] == 403
    assert offered.ask(source="127.0.0.1")[0] == 403
    folder, secret, name = offered.offer.place.removeprefix(offered.server.url + "/").split("/")
    assert name == f"{NODE}.iso" and len(secret) == 32
    for guess in (f"{folder}/{'0' * 32}/{name}", f"{folder}/{name}", f"{folder}/{secret}/", ""):
        assert offered.ask(place=f"/{guess}")[0] == 404


def test_a_try_has_a_name_of_its_own_which_a_following_conductor_makes_again(offered):
    first, second = Deployment.fresh(), Deployment.fresh()
    offered.offer.ramdisk(first)
    place = offered.offer.place
    assert first.key not in place and first.token not in place
    offered.offer.ramdisk(first)
    assert offered.offer.place == place
    offered.offer.ramdisk(second)
    assert offered.offer.place != place
    assert offered.ask(place=place)[0] == 404
    assert offered.ask()[0] == 200


def test_it_is_withdrawn_when_the_agent_has_reported(offered):
    deployment = Deployment.fresh()
    offered.peer.follow(record(deployment))
    offered.offer.ramdisk(deployment)
    assert offered.ask()[0] == 200
    offered.peer.follow(record(deployment, AgentInfo("10.0.0.5", "iqn.a")))
    status, _, body = offered.ask()
    assert (status, body.decode().strip()) == (403, SPENT)


@pytest.mark.parametrize("end", ["system", "nothing"])
def test_it_is_gone_after_the_switch_and_where_nothing_is_offered(offered, end):
    offered.offer.ramdisk(Deployment.fresh())
    place = offered.offer.place
    getattr(offered.offer, end)()
    assert offered.offer.place == ""
    assert offered.ask(place=place)[0] == 404
    getattr(offered.offer, end)()


def test_what_is_told_of_requests_has_no_secret_name_in_it(offered, events):
    offered.offer.ramdisk(Deployment.fresh())
    secret = offered.offer.place.split("/")[-2]
    offered.ask("HEAD")
    offered.ask(source=ANOTHER)
    offered.ask(place="/" + offered.offer.place.removeprefix(offered.server.url))
    offered.server.stop()
    assert len(events) == 3
    assert secret not in str(events)
    assert all("/media/******/" in event.path for event in events)


class Bmc:
    """What a BMC was told."""

    name = "the BMC at bmc-1"

    def __init__(self, media=True):
        self.told, self.media = [], media

    def power(self):
        return "on"

    def power_on(self):
        self.told.append("on")

    def power_off(self):
        self.told.append("off")

    def boot_from(self, device, *, persistent=False):
        self.told.append((device, persistent))

    def insert_media(self, url):
        if not self.media:
            raise BakeryError("no virtual media")
        self.told.append(url)

    def eject_media(self):
        self.told.append("eject")

    def identity(self):
        return Identity("S1")


def test_what_boots_over_the_network_elsewhere_boots_from_the_drive(offered):
    bmc = Bmc()
    power = ByMedia(bmc, offered.offer)
    offered.offer.ramdisk(Deployment.fresh())
    power.power_off()
    power.boot_from("network")
    power.power_on()
    assert bmc.told == ["off", "eject", offered.offer.place, ("cd", False), "on"]
    assert (power.power(), power.name, power.identity().serial) == ("on", bmc.name, "S1")


def test_before_the_disk_is_booted_the_medium_is_taken_out(offered):
    bmc = Bmc()
    ByMedia(bmc, offered.offer).boot_from("disk", persistent=True)
    assert bmc.told == ["eject", ("disk", True)]


def test_a_bmc_that_refuses_media_boots_nothing(offered):
    bmc = Bmc(media=False)
    with pytest.raises(BakeryError, match="no virtual media"):
        ByMedia(bmc, offered.offer).boot_from("network")
    assert bmc.told == []


@pytest.mark.parametrize(
    "address", ["https://127.0.0.1", "127.0.0.1", "http://127.0.0.1:8000", "localhost"]
)
def test_a_bmc_reads_from_this_machines_address_on_the_way_to_it(address):
    found = reader("n1", RedfishAccess(address))
    assert found == Reader(frozenset({"127.0.0.1"}), IPv4Address("127.0.0.1"))


@pytest.mark.parametrize("address", ["", "https://[::1]", "http://", "https://[::1", "a b"])
def test_a_bmc_to_which_there_is_no_way_is_told(address):
    with pytest.raises(BakeryError, match=r"the BMC of n1.*cannot be reached over IPv4"):
        reader("n1", RedfishAccess(address))


def test_ipmi_has_no_virtual_media():
    with pytest.raises(BakeryError, match="IPMI, which has no virtual media") as refused:
        reader("n1", IpmiAccess("127.0.0.1"))
    assert "Redfish" in refused.value.hint


@pytest.mark.parametrize("layout", ["pv", "lv"])
def test_a_system_that_is_not_on_its_own_disk_alone_is_refused(layout):
    with pytest.raises(BakeryError, match=f"layout {layout} boots over the network") as refused:
        refuse_layout(layout)
    assert "--layout disk" in refused.value.hint
    refuse_layout("disk")
