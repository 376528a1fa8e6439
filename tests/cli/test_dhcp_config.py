"""`bakery dhcp-config` on the command line."""

import pytest

from tests.cli.inside import document, told, usage

HERE = ("--address", "10.0.0.5")


@pytest.mark.parametrize("program", ["dnsmasq", "isc", "kea"])
def test_the_lines_are_printed_as_text_and_as_json(program):
    text = told("dhcp-config", "--for", program, *HERE)
    assert "10.0.0.5" in text and "snponly.efi" in text
    assert document("dhcp-config", "--for", program, *HERE) == {"for": program, "text": text}


def test_nodes_are_named_once_however_they_are_written():
    words = ("--mac", "52-54-00-00-00-0A", "--mac", "52:54:00:00:00:0a")
    text = told("dhcp-config", "--for", "dnsmasq", *HERE, *words)
    assert text.count("dhcp-mac=set:bakery,52:54:00:00:00:0a") == 1


def test_the_boot_loaders_are_those_of_the_deploy():
    text = told("dhcp-config", "--for", "dnsmasq", *HERE, "--bios", "ipxe", "--uefi", "grub")
    assert "undionly.kpxe" in text and "grubnetx64.efi" in text


def test_a_server_and_an_address_are_needed():
    assert "--address" in usage("dhcp-config", "--for", "kea")
    assert "--for" in usage("dhcp-config", *HERE)
    assert "IPv4" in usage("dhcp-config", "--for", "kea", "--address", "fe80::1")
