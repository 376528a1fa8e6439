"""The options of a network that is not ours, as `bakery deploy` takes them."""

import json
from typing import Any

import click
import pytest
from click.testing import CliRunner

from bakery.cli.network_options import is_asked_for, on_a_network, show_lines, site
from bakery.cli.options import Output, output
from bakery.conductor.messages import Network

WORDS = ("--dhcp-range", "10.1.2.10-10.1.2.20"), ("--gateway", "10.1.2.1"), ("--dns", "10.1.2.3")


def asked(*words: str) -> Any:
    """The network that a command with these options is given."""
    given = []

    @click.command()
    @on_a_network
    def command(network):
        given.append(network)

    done = CliRunner().invoke(command, [*words])
    return given[0] if given else done


def test_without_options_addresses_are_ours_and_others_are_looked_for_first():
    assert asked() == Network(look_seconds=5.0)


def test_what_was_said_of_the_network_is_told_from_what_holds_by_default():
    assert not is_asked_for(asked())
    assert is_asked_for(asked("--dhcp", "off"))
    assert all(is_asked_for(asked(*words)) for words in WORDS)


def test_all_that_nodes_are_told_is_handed_on():
    more = ("--dhcp-range", "10.9.0.10-10.9.0.20/24", "--dns", "10.1.2.4", "--ntp", "10.1.2.5")
    found = asked("--dhcp", "own", *(word for pair in WORDS for word in pair), *more)
    assert found.ranges == ("10.1.2.10-10.1.2.20", "10.9.0.10-10.9.0.20/24")
    assert (found.gateway, found.dns, found.ntp) == (
        "10.1.2.1",
        ("10.1.2.3", "10.1.2.4"),
        ("10.1.2.5",),
    )


@pytest.mark.parametrize("dhcp", ["proxy", "off"])
def test_the_site_gives_the_addresses_and_then_these_options_have_no_meaning(dhcp):
    assert asked("--dhcp", dhcp).dhcp == dhcp
    for words in WORDS:
        done = asked("--dhcp", dhcp, *words)
        assert done.exit_code == 2 and "go with --dhcp own" in done.output


@pytest.mark.parametrize("words", [("--dhcp", "on"), ("--gateway", "gw"), ("--dns", "fe80::1")])
def test_what_is_none_is_wrong_usage(words):
    assert asked(*words).exit_code == 2


def shown(dhcp: Any, *words: str) -> Any:
    @click.command()
    @output
    def command(out: Output) -> None:
        sent = site("10.0.0.5/24", "pxelinux", "ipxe", ["52:54:00:00:00:0a"])
        show_lines(out, Network(dhcp=dhcp), sent)

    return CliRunner().invoke(command, [*words])


def test_with_dhcp_off_the_lines_for_each_server_are_shown():
    done = shown("off")
    for title in ("# dnsmasq:", "# ISC dhcpd:", "# Kea:"):
        assert title in done.stderr
    assert "dhcp-mac=set:bakery,52:54:00:00:00:0a" in done.stderr
    assert done.stdout == ""
    assert shown("off", "--quiet").output == "" == shown("proxy").output == shown("own").output


def test_a_script_is_told_them_as_events():
    events = [json.loads(line) for line in shown("off", "--json").stderr.splitlines()]
    assert [event["kind"] for event in events] == ["note"] * 3
    assert "\ndhcp-mac=set:bakery,52:54:00:00:00:0a\n" in events[0]["text"]
