import os

import pytest

from bakery.host.errors import BakeryError, UsageError
from bakery.host.run import run
from bakery.lab import network


@pytest.fixture(autouse=True)
def tried_anew():
    network.entrance.cache_clear()
    yield
    network.entrance.cache_clear()


@pytest.mark.parametrize("text", ["192.168.77.1/24", "10.0.0.1/8", "172.16.0.2/28"])
def test_an_address_with_its_network_serves(text):
    assert str(network.address(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "lab", "192.168.77.1", "192.168.77.0/24", "192.168.77.255/24", "10.0.0.1/29",
        "10.0.0.1/7", "127.0.0.1/8", "224.0.0.1/24", "::1/64", "1.2.3.4/24\nlink del lo",
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_machine_is_refused(text):
    with pytest.raises(UsageError):
        network.address(text)


def test_the_way_in_leads_into_an_empty_network_where_devices_can_be_made():
    words = network.entrance()
    assert run([*words, "ip", "-o", "link"]).text.startswith("1: lo:")
    assert ("--user" in words) == (os.geteuid() != 0)


def test_without_namespaces_what_is_needed_is_named(monkeypatch, tmp_path):
    forbidden = tmp_path / "unshare"
    forbidden.write_text("#!/bin/sh\necho 'unshare: Operation not permitted' >&2\nexit 1\n")
    forbidden.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(BakeryError, match="Operation not permitted") as refused:
        network.entrance()
    assert "user namespaces" in refused.value.hint
    assert "root" in refused.value.hint


def test_without_bridge_or_tap_what_is_needed_is_named(monkeypatch, tmp_path):
    forbidden = tmp_path / "ip"
    forbidden.write_text("#!/bin/sh\necho 'open: No such file or directory' >&2\nexit 1\n")
    forbidden.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(BakeryError, match="no bridge or tap") as refused:
        network.entrance()
    assert "/dev/net/tun" in refused.value.hint
