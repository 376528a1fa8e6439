import pytest

from bakery.netboot import dhcp_packet as wire
from bakery.netboot.dhcp_packet import Packet
from bakery.netboot.firmware_files import BootFiles, asker

FILES = BootFiles(bios="undionly.kpxe", uefi="snponly.efi", bios_ipxe="http://b", uefi_ipxe="")


@pytest.mark.parametrize(
    ("options", "who", "file"),
    [
        ({}, "", ""),
        ({wire.VENDOR_CLASS: b"udhcp 1.35.0"}, "", ""),
        ({wire.VENDOR_CLASS: b"PXEClient:Arch:00000:UNDI:002001"}, "bios", "undionly.kpxe"),
        ({wire.ARCHITECTURE: b"\0\0"}, "bios", "undionly.kpxe"),
        ({wire.ARCHITECTURE: b"\0\7"}, "uefi", "snponly.efi"),
        ({wire.ARCHITECTURE: b"\0\x09"}, "uefi", "snponly.efi"),
        ({wire.ARCHITECTURE: b"\0\x0b"}, "", ""),
        ({wire.ARCHITECTURE: b"\0\x0b\0\7"}, "uefi", "snponly.efi"),
        ({wire.ARCHITECTURE: b"\0"}, "bios", "undionly.kpxe"),
        ({wire.ARCHITECTURE: b"\0\0", wire.IPXE: b""}, "ipxe", "http://b"),
        ({wire.IPXE: b""}, "ipxe", "http://b"),
        ({wire.ARCHITECTURE: b"\0\0", wire.USER_CLASS: b"\4iPXE"}, "ipxe", "http://b"),
        ({wire.ARCHITECTURE: b"\0\7", wire.IPXE: b""}, "ipxe", "snponly.efi"),
    ],
)
def test_firmware_is_known_by_what_it_says(options, who, file):
    message = Packet(op=wire.REQUEST, xid=7, mac=bytes(6), options=options)
    assert (asker(message), FILES.of(message)) == (who, file)
