"""The lines that have somebody else's DHCP server send nodes here: dnsmasq, ISC dhcpd, Kea.

Sources: dnsmasq(8); dhcpd.conf(5), dhcp-eval(5); Kea's manual, "Client classification"; RFC 4578,
2.1 with IANA's "Processor Architecture Types"; UEFI 2.10, 24.7.2 (the class `HTTPClient`).
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Literal, NamedTuple

from bakery.host.errors import BakeryError
from bakery.host.printable import shown
from bakery.netboot import firmware_files
from bakery.netboot.boot_config import IPXE_OWN_NAME
from bakery.netboot.boot_programs import Chain

Program = Literal["dnsmasq", "isc", "kea"]
TITLES: dict[Program, str] = {
    "dnsmasq": "dnsmasq: a file in /etc/dnsmasq.d; dnsmasq --test reads it",
    "isc": "ISC dhcpd: in dhcpd.conf; dhcpd -t reads it",
    "kea": "Kea: these client classes in kea-dhcp4.conf; kea-dhcp4 -t reads it",
}
LEFT_OUT = "architectures 00:0b and 00:13 (arm64 UEFI) are left out: no boot program for them here"
IPXE = "iPXE"
TAG, HTTP = "bakery", "http"
_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}", re.ASCII)


@dataclass(frozen=True)
class Site:
    """Where nodes are sent: the conductor's address and the port of its HTTP; what it has for them.

    With `macs`, in lower case with colons, those alone are sent; without, all that ask.
    """

    address: IPv4Address
    port: int
    chain: Chain
    macs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for mac in self.macs:
            if not _MAC.fullmatch(mac):
                raise BakeryError(
                    f"{shown(mac)} is not an Ethernet address", "such as 52:54:00:12:34:56"
                )


class _Row(NamedTuple):
    """A kind of firmware: its short name, its architectures, what it loads, and what iPXE does.

    An empty `ipxe`: the same. The kind HTTP boots by a URL, and no iPXE says that it is of it.
    """

    name: str
    architectures: tuple[int, ...]
    file: str
    ipxe: str


def text(program: Program, site: Site) -> str:
    """The lines for that program, each ended by a newline."""
    make = {"dnsmasq": _dnsmasq, "isc": _isc, "kea": _kea}[program]
    return "".join(f"{line}\n" for line in make(site))


def _rows(site: Site) -> list[_Row]:
    url = f"http://{site.address}:{site.port}"
    files = site.chain.files(f"{url}/{IPXE_OWN_NAME}", url)
    rows = [
        _Row("bios", (firmware_files.BIOS,), files.bios, files.bios_ipxe),
        _Row("uefi", firmware_files.UEFI_X64, files.uefi, files.uefi_ipxe),
        _Row(HTTP, (firmware_files.UEFI_X64_HTTP,), files.uefi_http, ""),
    ]
    return [row for row in rows if row.file]


def _dnsmasq(site: Site) -> Iterator[str]:
    yield f"# {LEFT_OUT}"
    own = f"tag:{TAG}," if site.macs else ""
    for mac in site.macs:
        yield f"dhcp-mac=set:{TAG},{mac}"
    yield f"dhcp-match=set:{TAG}-ipxe,175"
    for row in _rows(site):
        for number in row.architectures:
            yield f"dhcp-match=set:{TAG}-{row.name},option:client-arch,{number}"
    for row in _rows(site):
        tags = f"{own}tag:{TAG}-{row.name}"
        if row.name == HTTP:
            yield f"dhcp-option-force={tags},option:vendor-class,HTTPClient"
            yield f"dhcp-boot={tags},{row.file}"
            continue
        if not row.ipxe:
            yield f"dhcp-boot={tags},{row.file},,{site.address}"
            continue
        yield f"dhcp-boot={tags},tag:!{TAG}-ipxe,{row.file},,{site.address}"
        yield f"dhcp-boot={tags},tag:{TAG}-ipxe,{row.ipxe},,{site.address}"


def _isc(site: Site) -> Iterator[str]:
    yield f"# {LEFT_OUT}"
    yield f"option {TAG}-arch code 93 = unsigned integer 16;"
    margin = "  " if site.macs else ""
    if site.macs:
        yield "group {"
    yield f"{margin}next-server {site.address};"
    word = "if"
    for row in _rows(site):
        kinds = " or ".join(f"option {TAG}-arch = {n >> 8:02x}:{n:02x}" for n in row.architectures)
        yield f"{margin}{word} {kinds} {{"
        if row.name == HTTP:
            yield f'{margin}  option vendor-class-identifier "HTTPClient";'
        if not row.ipxe:
            yield f'{margin}  filename "{row.file}";'
        else:
            yield f'{margin}  if option user-class = "{IPXE}" {{ filename "{row.ipxe}"; }}'
            yield f'{margin}  else {{ filename "{row.file}"; }}'
        yield f"{margin}}}"
        word = "elsif"
    for mac in site.macs:
        yield f"  host {TAG}-{mac.replace(':', '')} {{ hardware ethernet {mac}; }}"
    if site.macs:
        yield "}"


def _kea(site: Site) -> Iterator[str]:
    classes: list[dict[str, object]] = []
    own = ""
    if site.macs:
        test = " or ".join(f"pkt4.mac == 0x{mac.replace(':', '')}" for mac in site.macs)
        classes.append({"name": TAG, "test": test})
        own = f"member('{TAG}') and "
    for row in _rows(site):
        kinds = " or ".join(f"option[93].hex == 0x{number:04x}" for number in row.architectures)
        asks = f"{own}({kinds})"
        if row.name == HTTP:
            names = {"vendor-class-identifier": "HTTPClient", "boot-file-name": row.file}
            data = [{"name": n, "data": value, "always-send": True} for n, value in names.items()]
            classes.append({"name": f"{TAG}-{row.name}", "test": asks, "option-data": data})
            continue
        plain = f" and not (option[77].hex == '{IPXE}')" if row.ipxe else ""
        classes.append(_kea_class(site, row.name, f"{asks}{plain}", row.file))
        if row.ipxe:
            test = f"{asks} and option[77].hex == '{IPXE}'"
            classes.append(_kea_class(site, f"{row.name}-ipxe", test, row.ipxe))
    yield f"// {LEFT_OUT}"
    yield from json.dumps({"Dhcp4": {"client-classes": classes}}, indent=2).splitlines()


def _kea_class(site: Site, name: str, test: str, file: str) -> dict[str, object]:
    where = {"next-server": str(site.address), "boot-file-name": file}
    return {"name": f"{TAG}-{name}", "test": test, **where}
