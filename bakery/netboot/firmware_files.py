"""Which program a node's firmware is told to load, by what the firmware says of itself.

Sources: RFC 4578, 2.1 with IANA's registry "Processor Architecture Types" (option 93); iPXE is
known by its option 175.
"""

from dataclasses import dataclass
from typing import Literal

from bakery.netboot.dhcp_packet import Packet

Firmware = Literal["", "bios", "uefi", "ipxe"]

BIOS = 0
# 16: x64 UEFI that boots by HTTP.
UEFI_X64_HTTP = 16
# 7 is x64 UEFI; 9, EFI byte code, is what much x64 firmware says since RFC 4578 had the two
# numbers the wrong way round.
UEFI_X64 = (7, 9)


@dataclass(frozen=True)
class BootFiles:
    """What each kind of firmware loads: a TFTP path, or for iPXE also a URL of a script.

    An empty one: that firmware is told nothing. iPXE without a file of its own gets what the
    firmware under it would get (it can start pxelinux as well as the firmware can). `uefi_http`
    is a URL, for UEFI that boots by HTTP.
    """

    bios: str = ""
    uefi: str = ""
    bios_ipxe: str = ""
    uefi_ipxe: str = ""
    uefi_http: str = ""

    def of(self, packet: Packet) -> str:
        """The file for the client that sent `packet`; empty where it is to load none."""
        kind = platform(packet)
        if packet.is_http:
            return self.uefi_http if kind == "uefi" else ""
        plain = {"bios": self.bios, "uefi": self.uefi}.get(kind, "")
        script = {"bios": self.bios_ipxe, "uefi": self.uefi_ipxe}.get(kind, "")
        return script if packet.is_ipxe and script else plain


def platform(packet: Packet) -> Firmware:
    """The firmware of the machine itself, bios or uefi; empty where it does not boot by DHCP.

    Old BIOS firmware, and iPXE in it, may leave its architecture out.
    """
    if not (packet.is_pxe or packet.is_ipxe):
        return ""
    known = packet.architectures or (BIOS,)
    for number in known:
        if number in UEFI_X64 or number == UEFI_X64_HTTP:
            return "uefi"
        if number == BIOS:
            return "bios"
    return ""


def asker(packet: Packet) -> Firmware:
    """Who asks: iPXE, or the firmware itself, or a running system (empty)."""
    return "ipxe" if packet.is_ipxe else platform(packet)
