"""The network the node booted from."""

import os
import time
from collections.abc import Sequence
from typing import NamedTuple

from .console import say
from .errors import AgentError
from .kernel_args import Settings
from .programs import call
from .static import Address, is_address

WAIT_SECONDS = 60.0  # for the interface to appear, and for its link
POLL_SECONDS = 0.1
ETHERNET = "1"  # ARPHRD_ETHER, linux/if_arp.h
LEASE_SCRIPT = "/usr/lib/agent/lease"
LEASE_FILE = "/run/lease"
LEASE_SECONDS = 60.0
LEASE_LIMIT = 4096
RESOLV_CONF = "/etc/resolv.conf"


class Network(NamedTuple):
    """The interface, the node's own address, and whom to ask for files (empty if unknown)."""

    interface: str
    address: str
    server: str


def bring_up(settings: Settings) -> Network:
    """Give the boot interface its address: the one on the command line, or one by DHCP.

    Raises AgentError where there is no interface, no link or no answer, and where what the command
    line says cannot be meant: an address that nobody gave might be somebody's.
    """
    if settings.fault:
        raise AgentError(settings.fault)
    call(["ip", "link", "set", "lo", "up"])
    interface = wait_for_interface(settings.mac)
    if settings.vlan:
        interface = tagged(interface, settings.vlan)
    address = settings.address or lease(interface)
    configure(interface, address)
    ask(settings.dns)
    say(f"network: {interface} {address.client}, server {address.server or 'unknown'}")
    return Network(interface, address.client, address.server)


def interfaces(sys: str = "/sys") -> dict[str, str]:
    """Name → MAC of the Ethernet interfaces, in the order of their names."""
    base = f"{sys}/class/net"
    found = {}
    for name in sorted(os.listdir(base)):
        if _text(f"{base}/{name}/type") == ETHERNET and os.path.exists(f"{base}/{name}/device"):
            found[name] = _text(f"{base}/{name}/address").lower()
    return found


def wait_for_interface(mac: str, sys: str = "/sys", patience: float = WAIT_SECONDS) -> str:
    """The interface with that MAC, or where none is given the first with a link; it is up then."""
    deadline = time.monotonic() + patience
    while True:
        there = interfaces(sys)
        for name, own in there.items():
            if mac in ("", own):
                call(["ip", "link", "set", name, "up"])
                if _text(f"{sys}/class/net/{name}/carrier") == "1":
                    return name
        if time.monotonic() > deadline:
            raise AgentError(_why_none(mac, there))
        time.sleep(POLL_SECONDS)


def tagged(interface: str, vlan: int) -> str:
    """The interface of a VLAN on another; it is up then."""
    call(["modprobe", "8021q"], check=False)  # a kernel that has it built in needs none
    name = f"vlan{vlan}"
    call(["ip", "link", "add", "link", interface, "name", name, "type", "vlan", "id", str(vlan)])
    call(["ip", "link", "set", name, "up"])
    return name


def ask(servers: Sequence[str]) -> None:
    """Have names looked up at these servers (resolv.conf(5))."""
    if servers:
        with open(RESOLV_CONF, "w", encoding="ascii") as file:
            file.writelines(f"nameserver {server}\n" for server in servers)


def lease(interface: str) -> Address:
    """An address by DHCP (busybox udhcpc)."""
    if os.path.exists(LEASE_FILE):
        os.unlink(LEASE_FILE)
    call(
        ["udhcpc", "-i", interface, "-n", "-q", "-f", "-t", "10", "-T", "2", "-s", LEASE_SCRIPT],
        LEASE_SECONDS,
        check=False,
    )
    address = parse_lease(_text(LEASE_FILE))
    if address is None:
        raise AgentError(f"no DHCP server gave {interface} an address")
    return address


def parse_lease(text: str) -> Address | None:
    """What the script behind udhcpc wrote: a line `NAME=VALUE` for each of its variables."""
    pairs = dict(line.partition("=")[::2] for line in text.splitlines())
    # Lists of routers are given with spaces between; the first is the preferred one.
    words = {name: (value.split() or [""])[0] for name, value in pairs.items()}
    value = {name: word for name, word in words.items() if is_address(word)}
    if "ip" not in value or "subnet" not in value:
        return None
    server = value.get("siaddr") or value.get("tftp") or value.get("serverid") or ""
    return Address(value["ip"], server, value.get("router", ""), value["subnet"])


def configure(interface: str, address: Address) -> None:
    """Set the address, and the route to everywhere else where there is one.

    The broadcast address is what udp-receiver(1) asks its sender at.
    """
    call(["ip", "address", "flush", "dev", interface])
    own = f"{address.client}/{address.netmask}"
    call(["ip", "address", "add", own, "broadcast", "+", "dev", interface])
    if address.gateway and address.gateway != address.client:
        # A gateway outside the net is a mistake of the DHCP server's; the servers may be inside.
        call(["ip", "route", "replace", "default", "via", address.gateway], check=False)


def _why_none(mac: str, there: dict[str, str]) -> str:
    if not there:
        return "the node has no network interface that a driver in this ramdisk knows"
    if mac and mac not in there.values():
        listed = ", ".join(f"{name} {own}" for name, own in there.items())
        return f"no network interface has the address {mac}; there are: {listed}"
    return f"no link on {', '.join(there)}"


def _text(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(LEASE_LIMIT).strip()
    except OSError:
        return ""
