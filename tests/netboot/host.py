"""Servers in a process of their own, for a test that puts them into a network namespace.

    python -m tests.netboot.host SPEC.json

`SPEC.json` holds a `Spec`. Events go to standard output, one JSON object a line, behind a line
that says `ready`; the process ends when its standard input does.
"""

import contextlib
import sys
import threading
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import msgspec

from bakery.netboot.dhcp import DhcpServer, KnownNode, Wire
from bakery.netboot.dhcp_own import Own
from bakery.netboot.dhcp_proxy import Proxy
from bakery.netboot.dhcp_watch import DhcpWatch
from bakery.netboot.firmware_files import BootFiles
from bakery.netboot.http import HttpServer
from bakery.netboot.leases import Leases
from bakery.netboot.router import RouterAdvertiser
from bakery.netboot.subnet import subnets
from bakery.netboot.tftp import TftpServer
from bakery.netboot.tree import Tree
from bakery.netboot.wire_events import Event


class Spec(msgspec.Struct):
    interface: str = "br0"
    address: str = "192.168.88.1/24"
    first: str = "192.168.88.100"
    last: str = "192.168.88.150"
    lease_seconds: int = 3600
    journal: str = ""
    """Empty: no DHCP that gives addresses."""
    ranges: list[str] = []
    """More of them, behind relays."""
    gateway: str = ""
    servers: list[str] = []
    """Of names and time."""
    proxy: bool = False
    watch: bool = False
    nodes: dict[str, dict[str, str]] = {}
    """By hardware address: the fields of BootFiles, and `name` and `address`."""
    files: dict[str, str] = {}
    texts: dict[str, str] = {}
    tftp: bool = False
    http_port: int = 0
    router: bool = False


def node(fields: dict[str, str]) -> KnownNode:
    files = {key: value for key, value in fields.items() if key not in ("name", "address")}
    address = IPv4Address(fields["address"]) if "address" in fields else None
    return KnownNode(BootFiles(**files), fields.get("name", ""), address)


def main(path: Path) -> None:
    spec = msgspec.json.decode(path.read_bytes(), type=Spec)
    lock = threading.Lock()

    def tell(event: Event) -> None:
        with lock:
            print(msgspec.json.encode(event).decode(), flush=True)

    tree = Tree()
    for name, file in spec.files.items():
        tree.put(name, Path(file))
    for name, text in spec.texts.items():
        tree.put(name, text.encode())
    own = IPv4Interface(spec.address)
    wire = Wire(spec.interface, own)
    known = {mac: node(fields) for mac, fields in spec.nodes.items()}
    with contextlib.ExitStack() as stack:
        if spec.journal:
            first, last = IPv4Address(spec.first), IPv4Address(spec.last)
            leases = Leases(Path(spec.journal), first, last, seconds=spec.lease_seconds)
            stack.enter_context(contextlib.closing(leases))
            router = IPv4Address(spec.gateway) if spec.gateway else None
            told = [IPv4Address(server) for server in spec.servers]
            ranges = subnets([f"{spec.first}-{spec.last}", *spec.ranges], own, router)
            mode = Own(own, leases, ranges, dns=told, ntp=told)
            stack.enter_context(DhcpServer(wire, mode, known.get, tell))
        if spec.proxy:
            stack.enter_context(DhcpServer(wire, Proxy(own), known.get, tell))
        if spec.watch:
            stack.enter_context(DhcpWatch(spec.interface, known.get, tell))
        if spec.tftp:
            stack.enter_context(TftpServer(str(own.ip), tree, tell, interface=spec.interface))
        if spec.http_port:
            stack.enter_context(HttpServer(str(own.ip), tree, tell, port=spec.http_port))
        if spec.router:
            stack.enter_context(RouterAdvertiser(spec.interface, known.get, tell))
        print("ready", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
