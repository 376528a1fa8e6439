"""The lines for others' DHCP servers: what they say, and that the programs themselves take them."""

import json
import shutil
import subprocess
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from bakery.host.errors import BakeryError
from bakery.netboot.boot_programs import Chain
from bakery.netboot.site_config import TITLES, Program, Site, text

ADDRESS = IPv4Address("10.0.0.5")
URL = "http://10.0.0.5:6385"
SCRIPT = f"{URL}/ipxe/${{mac:hexhyp}}.ipxe"
MACS = ("52:54:00:00:00:0a", "52:54:00:00:00:0b")
CHAINS = [Chain("ipxe", "ipxe"), Chain("pxelinux", "ipxe"), Chain("pxelinux", "grub")]


def site(chain: Chain = CHAINS[1], macs: tuple[str, ...] = MACS) -> Site:
    return Site(ADDRESS, 6385, chain, macs)


def test_dnsmasq_is_told_each_kind_of_firmware_for_these_nodes_alone():
    assert text("dnsmasq", site()).splitlines()[1:] == [
        "dhcp-mac=set:bakery,52:54:00:00:00:0a",
        "dhcp-mac=set:bakery,52:54:00:00:00:0b",
        "dhcp-match=set:bakery-ipxe,175",
        "dhcp-match=set:bakery-bios,option:client-arch,0",
        "dhcp-match=set:bakery-uefi,option:client-arch,7",
        "dhcp-match=set:bakery-uefi,option:client-arch,9",
        "dhcp-match=set:bakery-http,option:client-arch,16",
        "dhcp-boot=tag:bakery,tag:bakery-bios,pxelinux.0,,10.0.0.5",
        "dhcp-boot=tag:bakery,tag:bakery-uefi,tag:!bakery-ipxe,snponly.efi,,10.0.0.5",
        f"dhcp-boot=tag:bakery,tag:bakery-uefi,tag:bakery-ipxe,{SCRIPT},,10.0.0.5",
        "dhcp-option-force=tag:bakery,tag:bakery-http,option:vendor-class,HTTPClient",
        f"dhcp-boot=tag:bakery,tag:bakery-http,{URL}/snponly.efi",
    ]


def test_isc_dhcpd_is_told_the_same():
    assert text("isc", site(macs=MACS[:1])).splitlines()[1:] == [
        "option bakery-arch code 93 = unsigned integer 16;",
        "group {",
        "  next-server 10.0.0.5;",
        "  if option bakery-arch = 00:00 {",
        '    filename "pxelinux.0";',
        "  }",
        "  elsif option bakery-arch = 00:07 or option bakery-arch = 00:09 {",
        f'    if option user-class = "iPXE" {{ filename "{SCRIPT}"; }}',
        '    else { filename "snponly.efi"; }',
        "  }",
        "  elsif option bakery-arch = 00:10 {",
        '    option vendor-class-identifier "HTTPClient";',
        f'    filename "{URL}/snponly.efi";',
        "  }",
        "  host bakery-52540000000a { hardware ethernet 52:54:00:00:00:0a; }",
        "}",
    ]


def test_kea_is_told_the_same():
    comment, _, document = text("kea", site()).partition("\n")
    assert comment.startswith("//")
    own, bios, uefi, ipxe, http = json.loads(document)["Dhcp4"]["client-classes"]
    assert own["test"] == "pkt4.mac == 0x52540000000a or pkt4.mac == 0x52540000000b"
    assert (bios["boot-file-name"], bios["next-server"]) == ("pxelinux.0", "10.0.0.5")
    assert bios["test"] == "member('bakery') and (option[93].hex == 0x0000)"
    arch = "member('bakery') and (option[93].hex == 0x0007 or option[93].hex == 0x0009)"
    assert uefi["test"] == f"{arch} and not (option[77].hex == 'iPXE')"
    assert (ipxe["test"], ipxe["boot-file-name"]) == (
        f"{arch} and option[77].hex == 'iPXE'",
        SCRIPT,
    )
    data = {one["name"]: one["data"] for one in http["option-data"]}
    assert data == {
        "vendor-class-identifier": "HTTPClient",
        "boot-file-name": f"{URL}/snponly.efi",
    }


@pytest.mark.parametrize("program", TITLES)
def test_without_nodes_all_that_boot_over_the_network_are_sent_here(program):
    told = text(program, site(macs=()))
    assert "52:54" not in told and "member(" not in told and "group" not in told


@pytest.mark.parametrize("program", TITLES)
def test_what_nothing_is_served_for_is_left_out_and_said(program):
    told = text(program, site(CHAINS[2]))
    assert "HTTPClient" not in told, "GRUB would not find its files"
    assert "00:0b" in told.splitlines()[0]
    assert "grubnetx64.efi" in told


@pytest.mark.parametrize("mac", ["", "52:54:00:00:00:0A", "52-54-00-00-00-0a", f"{MACS[0]}\n", "x"])
def test_nothing_but_an_address_gets_into_a_line(mac):
    with pytest.raises(BakeryError, match="not an Ethernet address"):
        site(macs=(mac,))


def checked(tmp_path: Path, program: Program, *words: str, head: str = "") -> None:
    """The program itself reads all lines; skipped where it is not on this machine."""
    if not shutil.which(words[0]):
        pytest.skip(f"{words[0]} is not on this machine")
    for number, chain in enumerate(CHAINS):
        for macs in ((), MACS):
            path = tmp_path / f"{number}-{len(macs)}.conf"
            path.write_text(head + text(program, site(chain, macs)))
            done = subprocess.run([*words, str(path)], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr


def test_dnsmasq_takes_them(tmp_path):
    checked(tmp_path, "dnsmasq", "dnsmasq", "--test", "-C")


def test_isc_dhcpd_takes_them(tmp_path):
    subnet = "subnet 10.0.0.0 netmask 255.255.255.0 { range 10.0.0.100 10.0.0.150; }\n"
    checked(tmp_path, "isc", "dhcpd", "-t", "-cf", head=subnet)


def test_kea_takes_them(tmp_path):
    checked(tmp_path, "kea", "kea-dhcp4", "-t")
