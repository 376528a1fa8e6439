"""Real firmware boots a real kernel from the servers, each way there is."""

import contextlib
from ipaddress import IPv4Address

import msgspec
import pytest

from bakery.netboot.boot_config import (
    Boot,
    BootConfig,
    grub,
    grub_name,
    ipxe,
    ipxe_name,
    pxelinux,
    pxelinux_name,
)
from bakery.netboot.boot_programs import Chain
from bakery.netboot.site_config import Site, text
from bakery.netboot.tree import Tree
from bakery.netboot.wire_events import Advertised, Dhcp, DhcpRival, Http, TftpSent
from tests.netboot.firmware_node import ARGS, SPOKEN, booting, kernel, ramdisk
from tests.netboot.host import Spec
from tests.netboot.site import FIRST, dnsmasq
from tests.netboot.wire import Host, mac

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("namespaces")]

BOOT_TIMEOUT_SECONDS = 400
PORT = 8088
URL = f"http://192.168.88.1:{PORT}"
UUID = "1be26c0b-03f2-4d2e-ae87-c02d7f33c123"
ADDRESS = "192.168.88.100"
DASHED = mac(1).replace(":", "-")


def spec(chain, folder):
    boot = Boot(f"{UUID}/deploy_kernel", f"{UUID}/deploy_ramdisk", ARGS, network=True)
    config = BootConfig(mac=mac(1), deploy=boot)
    texts = {
        pxelinux_name(mac(1)): pxelinux(config),
        ipxe_name(mac(1)): ipxe(config, URL),
        grub_name(mac(1)): grub(config),
    }
    tree = Tree()
    chain.put(tree)
    opened = {name: found.file for name in tree.names() if (found := tree.open(name))}
    files = {name: file.name for name, file in opened.items() if hasattr(file, "name")}
    texts |= {name: file.read().decode() for name, file in opened.items() if name not in files}
    files |= {boot.kernel: str(kernel()), boot.ramdisk: str(ramdisk(folder))}
    told = chain.files(f"{URL}/{ipxe_name(mac(1))}")
    nodes = {mac(1): {"bios": told.bios, "uefi": told.uefi}}
    nodes[mac(1)] |= {"bios_ipxe": told.bios_ipxe, "uefi_ipxe": told.uefi_ipxe}
    return Spec(
        journal=str(folder / "leases"),
        nodes=nodes,
        files=files,
        texts=texts,
        tftp=True,
        http_port=PORT,
        router=True,
    )


def boot(
    network, folder, chain, *, uefi=False, card="virtio-net-pci", rom=True, site=None, **changes
):
    """What the node said, and the servers' events; `site` is another's server beside them."""
    with (
        site or contextlib.nullcontext(),
        Host(
            network.servers, msgspec.structs.replace(spec(chain, folder), **changes), folder
        ) as host,
        booting(network, folder, uefi=uefi, card=card, rom=rom) as node,
    ):
        code = node.wait(BOOT_TIMEOUT_SECONDS)
    console = (folder / "console").read_text(errors="replace")
    assert code == 0, (console[-2000:], host.events)
    assert SPOKEN in console, (console[-2000:], host.events)
    return console.partition(SPOKEN)[2].splitlines()[0], host


def fetched(host):
    """The names of the files that went to the node whole, in order, small ones too."""
    sent = [e.path for e in host.events if isinstance(e, TftpSent)]
    got = [e.path for e in host.events if isinstance(e, Http) and e.status == 200 and e.sent_bytes]
    return sent, got


@pytest.mark.parametrize(
    "card",
    # A deploy in tests/e2e boots by iPXE's ROM of this card in the default run.
    ["virtio-net-pci", pytest.param("e1000", marks=pytest.mark.full)],
)
def test_bios_ipxe_boots_over_http(network, tmp_path, card):
    said, host = boot(network, tmp_path, Chain(), card=card)
    sent, got = fetched(host)
    assert sent == []
    assert got == [
        f"/ipxe/{DASHED}.ipxe",
        f"/{UUID}/deploy_kernel",
        f"/{UUID}/deploy_ramdisk",
    ]
    assert f"BOOTIF=01-{DASHED}" in said
    assert f"ip={ADDRESS}:192.168.88.1::255.255.255.0" in said
    assert 'note="two words"' in said
    assert host.of(Dhcp)[-1].firmware == "ipxe"
    assert host.of(Advertised), "iPXE would have waited for a router"


def test_bios_pxelinux_boots_over_tftp_as_ironic_had_it(network, tmp_path):
    said, host = boot(network, tmp_path, Chain(bios="pxelinux"))
    sent, got = fetched(host)
    assert got == []
    wanted = ["pxelinux.0", "ldlinux.c32", f"pxelinux.cfg/01-{DASHED}"]
    assert sent == [*wanted, f"{UUID}/deploy_kernel", f"{UUID}/deploy_ramdisk"]
    assert f"BOOTIF=01-{DASHED}" in said
    assert f"ip={ADDRESS}:192.168.88.1:" in said
    assert 'note="two words"' in said


def test_uefi_ipxe_boots_over_http(network, tmp_path):
    said, host = boot(network, tmp_path, Chain(), uefi=True)
    sent, got = fetched(host)
    assert sent == []
    assert got[-2:] == [f"/{UUID}/deploy_kernel", f"/{UUID}/deploy_ramdisk"]
    assert f"BOOTIF=01-{DASHED}" in said


def test_uefi_loads_ipxe_and_boots_over_http(network, tmp_path):
    said, host = boot(network, tmp_path, Chain(), uefi=True, rom=False)
    sent, got = fetched(host)
    assert sent == ["snponly.efi"]
    assert got[-2:] == [f"/{UUID}/deploy_kernel", f"/{UUID}/deploy_ramdisk"]
    assert f"BOOTIF=01-{DASHED}" in said
    firmware = [event.firmware for event in host.of(Dhcp)]
    assert firmware[0] == "uefi" and firmware[-1] == "ipxe"


def test_uefi_loads_grub_and_boots_over_tftp(network, tmp_path):
    said, host = boot(network, tmp_path, Chain(uefi="grub"), uefi=True, rom=False)
    sent, _ = fetched(host)
    assert sent[0] == "grubnetx64.efi"
    names = [name.lstrip("/") for name in sent]
    assert names[-2:] == [f"{UUID}/deploy_kernel", f"{UUID}/deploy_ramdisk"]
    assert f"BOOTIF=01-{DASHED}" in said
    assert '"note=two words"' in said


@pytest.mark.parametrize("uefi", [False, True], ids=["bios", "uefi"])
def test_firmware_boots_from_here_by_addresses_of_the_site(network, tmp_path, uefi):
    """By ProxyDHCP, beside a real dnsmasq: pxelinux by iPXE's ROM, and iPXE by UEFI's own PXE."""
    site = dnsmasq(network.client(8))
    said, host = boot(
        *(network, tmp_path, Chain(bios="pxelinux")),
        uefi=uefi,
        rom=not uefi,
        site=site,
        journal="",
        proxy=True,
    )
    sent, _ = fetched(host)
    assert sent[0] == ("snponly.efi" if uefi else "pxelinux.0")
    assert f"BOOTIF=01-{DASHED}" in said
    (address,) = {e.address for e in host.of(Dhcp) if e.message == "REQUEST" and not e.answer}
    assert f"ip={address}:192.168.88.1:" in said, "the token is asked for there"
    assert IPv4Address(address) >= IPv4Address(FIRST)
    assert host.of(DhcpRival) == []
    answers = {(e.message, e.answer) for e in host.of(Dhcp)}
    assert ("DISCOVER", "OFFER") in answers


def test_uefi_boots_from_here_by_the_lines_that_are_printed_for_dnsmasq(network, tmp_path):
    lines = tmp_path / "dnsmasq.conf"
    chain = Chain(bios="pxelinux")
    lines.write_text(text("dnsmasq", Site(IPv4Address("192.168.88.1"), PORT, chain, (mac(1),))))
    site = dnsmasq(network.client(8), lines)
    said, host = boot(
        *(network, tmp_path, chain),
        uefi=True,
        rom=False,
        site=site,
        journal="",
        watch=True,
    )
    sent, got = fetched(host)
    assert sent == ["snponly.efi"]
    assert got[0] == f"/ipxe/{DASHED}.ipxe", "iPXE puts its own name together"
    assert {e.answer for e in host.of(Dhcp)} == {""}
    assert {"uefi", "ipxe"} <= {e.firmware for e in host.of(Dhcp)}
    assert ":192.168.88.1:" in said


@pytest.mark.full
def test_uefi_boots_by_http_alone_beside_the_sites_server(network, tmp_path):
    """OVMF tries PXE first, which is told nothing here."""
    url = f"{URL}/snponly.efi"
    nodes = {mac(1): {"uefi_http": url, "uefi_ipxe": f"{URL}/{ipxe_name(mac(1))}"}}
    changes = {"site": dnsmasq(network.client(8)), "journal": "", "proxy": True, "nodes": nodes}
    said, host = boot(network, tmp_path, Chain(), uefi=True, rom=False, **changes)
    sent, got = fetched(host)
    assert sent == [] and got[0] == "/snponly.efi"
    assert f"BOOTIF=01-{DASHED}" in said
