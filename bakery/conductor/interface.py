"""The network interface that nodes boot over: looked at before anything is done on it."""

import os
import re
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any

import msgspec

from bakery.host.errors import BakeryError
from bakery.host.run import CommandFailed, run

NAME = re.compile(r"[^\s/]{1,15}")  # net/core/dev.c, dev_valid_name
SECONDS = 10.0
NET_BIND_SERVICE, NET_RAW = 10, 13  # capabilities(7), linux/capability.h
UNPRIVILEGED = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
LOWEST_PORT = 67
NEEDED = {NET_BIND_SERVICE: "net_bind_service", NET_RAW: "net_raw"}


def address_of(name: str) -> IPv4Interface:
    """The IPv4 address of an interface that is up; BakeryError where nodes cannot boot over it."""
    found = _looked_up(name)
    if "LOOPBACK" in found.get("flags", ()):
        raise BakeryError(
            f"{name} is this machine's loopback", "name the interface of the nodes' network"
        )
    if "UP" not in found.get("flags", ()):
        raise BakeryError(f"the interface {name} is down", f"ip link set {name} up")
    addresses = [
        IPv4Interface(f"{one['local']}/{one['prefixlen']}")
        for one in found.get("addr_info", ())
        if one.get("family") == "inet" and one.get("scope") == "global"
    ]
    if not addresses:
        raise BakeryError(
            f"the interface {name} has no IPv4 address",
            f"give it one on the nodes' network: ip address add 192.168.77.1/24 dev {name}",
        )
    if len(addresses) > 1:
        raise BakeryError(
            f"the interface {name} has several addresses: {', '.join(map(str, addresses))}",
            "leave it one, or name an interface (a VLAN's, a macvlan) that has one alone",
        )
    return addresses[0]


def check_privileges() -> None:
    """BakeryError where a conductor that this process starts could not serve DHCP and TFTP.

    Root's capabilities pass to what it starts; anybody else's only where they are ambient.
    """
    kind = "CapEff" if os.geteuid() == 0 else "CapAmb"
    has = _capabilities(kind)
    missing = [name for bit, name in NEEDED.items() if not has >> bit & 1]
    if _lowest_open_port() <= LOWEST_PORT and "net_bind_service" in missing:
        missing.remove("net_bind_service")
    if missing:
        words = " and ".join(f"CAP_{name.upper()}" for name in missing)
        raise BakeryError(
            f"serving DHCP and TFTP on a rack's network needs {words}",
            "run it with sudo, or in a service with AmbientCapabilities="
            "CAP_NET_BIND_SERVICE CAP_NET_RAW",
        )


def _looked_up(name: str) -> dict[str, Any]:
    if not NAME.fullmatch(name) or name.startswith("-"):
        raise BakeryError(f"{name!r} is not the name of a network interface", "ip link")
    try:
        done = run(["ip", "-json", "-4", "address", "show", "dev", name], timeout=SECONDS)
        told = msgspec.json.decode(done.stdout or b"[]", type=list[dict[str, Any]])
    except CommandFailed:
        raise BakeryError(f"this machine has no interface {name}", "ip link lists them") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise BakeryError(f"ip(8) tells nothing of {name} that can be read: {error}") from None
    # It answers with empty objects for the interfaces that were not asked for.
    found = [one for one in told if one.get("ifname") == name]
    if not found:
        raise BakeryError(
            f"the interface {name} has no IPv4 address",
            f"give it one on the nodes' network: ip address add 192.168.77.1/24 dev {name}",
        )
    return found[0]


def _capabilities(kind: str) -> int:
    """A set of this process's (proc(5)), as bits."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == kind:
            return int(value, 16)
    return 0


def _lowest_open_port() -> int:
    try:
        return int(UNPRIVILEGED.read_text())
    except (OSError, ValueError):
        return 1024
