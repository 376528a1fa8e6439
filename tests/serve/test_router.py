"""Router solicitations of a real kernel, in network namespaces."""

import re

import pytest

from bakery.serve.events import Advertised
from tests.serve.host import Spec
from tests.serve.wire import Host

pytestmark = pytest.mark.xdist_group("namespaces")


def test_router_solicitations_are_answered_without_address_or_route(network, tmp_path):
    client = network.client(1)
    with Host(network.servers, Spec(router=True), tmp_path) as host:
        # A card that comes up asks for routers (RFC 4861, 6.3.7).
        client.run("ip", "link", "set", "eth0", "down")
        client.run("ip", "link", "set", "eth0", "up")
        told = host.wait_for(Advertised)
        assert re.fullmatch(r"fe80::[0-9a-f:]+|::", told.client)
        assert "default" not in client.run("ip", "-6", "route").stdout
        assert "scope global" not in client.run("ip", "-6", "address").stdout
