"""Where the site gives the addresses: a node's file is its machine's, on a real wire."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.conftest import REPOSITORY
from tests.netboot.wire import Network, Place, a_network, mac

pytestmark = pytest.mark.xdist_group("namespaces")

SERVER = f"""
import functools, sys
from ipaddress import IPv4Interface
from pathlib import Path
from bakery.conductor import messages, network
from bakery.conductor.peer import Peer
from bakery.host.report import silent
from bakery.netboot.dhcp import Wire
from bakery.netboot.http import HttpServer
from bakery.netboot.tree import Tree
wire = Wire("br0", IPv4Interface("192.168.88.1/24"))
with network.opened(messages.Network(dhcp=sys.argv[1]), wire, Path("/"), silent()) as addresses:
    tree = Tree()
    peer = Peer(functools.partial(addresses.holds, "{mac(1)}"))
    tree.put("secret", b"of the node", peer.stranger)
    with HttpServer("192.168.88.1", tree, lambda event: None, port=8080):
        print("ready", flush=True)
        sys.stdin.read()
"""
CLIENT = """
import urllib.request, urllib.error
try:
    print(urllib.request.urlopen("http://192.168.88.1:8080/secret", timeout=60).read().decode())
except urllib.error.HTTPError as error:
    print(error.code)
"""


@pytest.fixture
def network() -> Iterator[Network]:
    with a_network() as made:
        yield made


@contextlib.contextmanager
def serving(network: Network, dhcp: str) -> Iterator[None]:
    words = [*network.servers.words, sys.executable, "-c", SERVER, dhcp]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY
    ) as process:
        assert process.stdout and process.stdout.readline() == b"ready\n"
        try:
            yield
        finally:
            process.kill()


def fetched(client: Place, address: str) -> str:
    """What it gets that asks from this address, which it gives up again."""
    client.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
    got = client.run(sys.executable, "-c", CLIENT).stdout.strip()
    client.run("ip", "address", "flush", "dev", "eth0")
    return got


@pytest.mark.parametrize("dhcp", ["proxy", "off"])
def test_the_machine_with_the_nodes_card_has_it_at_any_address_and_nobody_else(network, dhcp):
    node, stranger = network.client(1), network.client(9)
    with serving(network, dhcp):
        assert fetched(stranger, "192.168.88.60") == "403"
        assert fetched(node, "192.168.88.50") == "of the node"
        assert fetched(node, "192.168.88.51") == "of the node"
        assert fetched(stranger, "192.168.88.61") == "403"


def test_who_gets_the_address_that_a_node_had_is_not_the_node(network):
    """The kernel learns from the newcomer's first question who answers there now."""
    node, stranger = network.client(1), network.client(9)
    with serving(network, "off"):
        assert fetched(node, "192.168.88.50") == "of the node"
        assert fetched(stranger, "192.168.88.50") == "403"
        assert fetched(node, "192.168.88.50") == "of the node"
