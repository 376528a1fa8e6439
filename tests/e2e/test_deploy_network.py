"""From power-on to login where a site's server, a real dnsmasq, gives the addresses."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bakery.lab import state
from bakery.netboot.wire_events import Dhcp, DhcpRival
from tests.e2e.test_deploy import built, lab
from tests.netboot.site import dnsmasq
from tests.netboot.wire import Place

pytestmark = [
    pytest.mark.slow,
    pytest.mark.full,
    pytest.mark.xdist_group("lab"),
    pytest.mark.timeout(2400),
]
SITE = "192.168.77"


def a_site(known: state.Lab) -> Place:
    """A machine on the lab's network, with one card and no address."""
    inside = SimpleNamespace(words=[str(word) for word in known.enter([])])
    place = Place(cast("Any", inside))
    words = ("ip", "link", "add", "site", "type", "veth", "peer", "name", "eth0")
    for command in (
        (*words, "netns", str(place.pid)),
        ("ip", "link", "set", "site", "master", known.interface, "up"),
    ):
        Place.run(cast("Any", inside), *command)
    place.run("ip", "link", "set", "eth0", "up")
    return place


@pytest.mark.parametrize(("dhcp", "firmware"), [("proxy", "bios"), ("off", "uefi")])
def test_a_node_with_an_address_of_the_site_comes_to_its_login(
    bakery, sample, tmp_path, dhcp, firmware
):
    build = built(bakery, sample, tmp_path, "pv")
    with lab(bakery, tmp_path / "lab", "--firmware", firmware) as up:
        known = state.load(up.folder)
        lines: Path | None = None
        if dhcp == "off":
            lines = tmp_path / "dnsmasq.conf"
            words = ("--for", "dnsmasq", "--address", f"{SITE}.1", "--mac", known.nodes[0].mac)
            lines.write_text(bakery("dhcp-config", *words).stdout)
        place = a_site(known)
        try:
            with dnsmasq(place, lines, network=SITE):
                done = up.deploy(build, "--dhcp", dhcp)
        finally:
            place.close()
        assert done.returncode == 0, done.stderr
        (result,) = json.loads(done.stdout)
        assert (result["state"], result["attempts"]) == ("running", 1)
        wire = [entry.event for entry in up.wire()]
        assert not any(isinstance(event, DhcpRival) for event in wire)
        answers = {event.answer for event in wire if isinstance(event, Dhcp)}
        assert answers == ({"", "OFFER"} if dhcp == "proxy" else {""})
