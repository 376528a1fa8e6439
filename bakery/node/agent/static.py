"""The node's network as kernel arguments tell it.

    ip=ADDRESS:SERVER:GATEWAY:NETMASK:NAME:CARD:AUTOCONF:DNS:DNS

as the kernel itself has it (Documentation/admin-guide/nfs/nfsroot.rst), of which pxelinux writes
the first four. NAME and CARD are passed over: the card is told by its MAC (`BOOTIF=`), for which
card is eth0 nobody knows before. In NETMASK a prefix's length may stand, as dracut has it
(dracut.cmdline(7)). `bakery_vlan=NUMBER` is the VLAN whose frames are tagged; dracut's `vlan=`
wants a card's name.
"""

import re
import socket
import struct
from typing import NamedTuple

# What asks for DHCP, or says nothing: nfsroot.rst's words, and what pxelinux writes without any.
NO_ADDRESS = ("", "dhcp", "on", "any", "both", "0.0.0.0")  # noqa: S104 - a word, not a place
VLANS = range(1, 4095)  # IEEE 802.1Q, 9.6: 0 is no VLAN, 4095 is reserved
DNS_FIELDS = slice(7, 9)
ALL_ONES = 0xFFFFFFFF
TEXT_LIMIT = 64  # of a word that a message repeats


class Address(NamedTuple):
    """The node's address, and the machine that served its boot; dotted quads, empty if unknown."""

    client: str
    server: str
    gateway: str
    netmask: str


class Static(NamedTuple):
    """What was said: no `address` is for DHCP; `fault` is why what was said cannot be meant."""

    address: Address | None = None
    dns: tuple[str, ...] = ()
    vlan: int = 0
    fault: str = ""


def read(words: dict[str, str]) -> Static:
    """What the arguments, NAME to VALUE, say of the network. It never raises."""
    try:
        fields = words.get("ip", "").split(":") + [""] * 9
        dns = tuple(field for field in fields[DNS_FIELDS] if field)
        for server in dns:
            _check(server, "a DNS server")
        return Static(_address(fields), dns, _vlan(words.get("bakery_vlan", "")))
    except ValueError as error:
        return Static(fault=str(error))


def is_address(text: str) -> bool:
    """Whether `text` is an IPv4 address as four numbers, and not 0.0.0.0."""
    try:
        return socket.inet_pton(socket.AF_INET, text) != bytes(4)
    except (OSError, UnicodeError, ValueError):
        return False


def _address(fields: list[str]) -> Address | None:
    client, server, gateway, netmask = fields[:4]
    if client in NO_ADDRESS:
        return None
    _check(client, "an address")
    mask = _mask(netmask)
    # What a boot program writes where it knows no server or gateway means none.
    server, gateway = (field if is_address(field) else "" for field in (server, gateway))
    return Address(client, server, gateway, mask)


def _mask(text: str) -> str:
    """A netmask, or the length of a prefix as one."""
    if re.fullmatch(r"[1-9]|[12][0-9]|3[0-2]", text, re.ASCII):
        return socket.inet_ntoa(struct.pack("!I", ALL_ONES << (32 - int(text)) & ALL_ONES))
    _check(text, "a netmask")
    (bits,) = struct.unpack("!I", socket.inet_aton(text))
    zeros = ~bits & ALL_ONES
    if zeros & (zeros + 1):
        raise ValueError(f"ip= has {text!r} where a netmask should be")
    return text


def _check(text: str, what: str) -> None:
    if not is_address(text):
        raise ValueError(f"ip= has {text[:TEXT_LIMIT]!r} where {what} should be")


def _vlan(text: str) -> int:
    if text and not (re.fullmatch(r"[0-9]{1,4}", text, re.ASCII) and int(text) in VLANS):
        raise ValueError(f"bakery_vlan is {text[:TEXT_LIMIT]!r}, and VLANs count from 1 to 4094")
    return int(text or 0)
