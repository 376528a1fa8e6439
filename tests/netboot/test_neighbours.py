"""Whose an address is, by the kernel's own table."""

import sys

import pytest

from bakery.host.errors import BakeryError
from bakery.netboot.neighbours import TABLE, holder
from tests.conftest import REPOSITORY
from tests.netboot.wire import mac

HEAD = "IP address       HW type     Flags       HW address            Mask     Device\n"


def row(address: str, flags: str, hardware: str, device: str) -> str:
    return f"{address:16} 0x1         {flags}         {hardware}     *        {device}\n"


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "arp"
    path.write_text(
        HEAD
        + row("10.0.0.1", "0x0", "00:00:00:00:00:00", "eth0")
        + row("10.0.0.12", "0x2", "52:54:00:00:00:0B", "eth1")
        + row("10.0.0.12", "0x2", "52:54:00:00:00:0A", "eth0")
        + "a line that is none\n"
    )
    return path


@pytest.mark.parametrize(
    ("address", "interface", "found"),
    [
        ("10.0.0.12", "eth0", "52:54:00:00:00:0a"),
        ("10.0.0.12", "eth1", "52:54:00:00:00:0b"),
        ("10.0.0.12", "eth2", ""),
        ("10.0.0.1", "eth0", ""),  # it was asked for, and did not answer
        ("10.0.0.2", "eth0", ""),
        ("", "eth0", ""),
    ],
)
def test_an_address_is_whose_frames_go_to_on_that_interface(table, address, interface, found):
    assert holder(address, interface, table) == found


def test_the_kernels_own_table_is_of_that_form():
    assert TABLE.read_text().splitlines()[0].split() == HEAD.split()


def test_without_a_table_it_says_so(tmp_path):
    with pytest.raises(BakeryError, match="table of neighbours"):
        holder("10.0.0.1", "eth0", tmp_path / "none")


@pytest.mark.xdist_group("namespaces")
def test_who_has_sent_us_something_is_found_in_its_namespace(network):
    client = network.client(1)
    client.run("ip", "address", "add", "192.168.88.9/24", "dev", "eth0")
    client.run("busybox", "ping", "-c", "1", "-W", "30", "192.168.88.1")
    seen = network.servers.run("cat", "/proc/thread-self/net/arp").stdout
    code = "from bakery.netboot.neighbours import holder; print(holder('192.168.88.9', 'br0'))"
    words = ("env", f"--chdir={REPOSITORY}", sys.executable, "-c", code)
    assert network.servers.run(*words).stdout.strip() == mac(1), seen
