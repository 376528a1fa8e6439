"""Where a node exports its disk: what can be such a place, and how qemu-nbd is told."""

import json

import pytest

from bakery.conductor import qemu_nbd
from bakery.conductor.iscsi import Target, plain_address
from bakery.host.errors import BakeryError
from tests.conductor.targets import IQN


@pytest.mark.parametrize(
    ("address", "iqn", "port"),
    [
        ("node", IQN, 3260),
        ("fe80::1%eth0", IQN, 3260),
        ("fe80::1%x,driver=qcow2,file.portal=127.0.0.9:3262", IQN, 3260),
        ("127.0.0.1", "iqn-x,file.driver=file", 3260),
        ("127.0.0.1", "", 3260),
        ("127.0.0.1", IQN, 0),
    ],
)
def test_what_cannot_be_a_target_is_refused_before_anything_is_started(address, iqn, port):
    with pytest.raises(BakeryError):
        Target(address, iqn, port)


def test_an_ipv6_portal_is_in_brackets():
    assert Target("fd00::1", IQN).portal == "[fd00::1]:3260"


def test_qemu_nbd_is_told_the_disk_in_json_where_no_text_becomes_an_option():
    target = Target("127.0.0.1", IQN, 3261, 7)
    smuggling = IQN + ',lun=0"},file.driver=file'
    object.__setattr__(target, "iqn", smuggling)  # as if the look at names had a hole
    with qemu_nbd.place("") as place:
        *options, disk = map(str, qemu_nbd.command(place, target.node()))
    assert "--image-opts" not in options
    assert json.loads(disk.removeprefix("json:")) == {
        "driver": "raw",
        "file": {
            "driver": "iscsi",
            "transport": "tcp",
            "portal": "127.0.0.1:3261",
            "target": smuggling,
            "lun": 7,
            "initiator-name": "iqn.2008-10.org.openstack:bakery",
        },
    }


@pytest.mark.parametrize(
    ("port", "lun"), [(0, 1), (-1, 1), (1 << 16, 1), (3260, -1), (3260, 1 << 8)]
)
def test_a_port_or_a_lun_that_cannot_be_is_refused(port, lun):
    with pytest.raises(BakeryError, match=f"port {port} or LUN {lun} is out of range"):
        Target("127.0.0.1", IQN, port, lun)


def test_the_outermost_ports_and_luns_and_names_are_taken():
    assert Target("127.0.0.1", IQN).portal == "127.0.0.1:3260"
    assert Target("127.0.0.1", IQN).node()["file"]["lun"] == 1
    assert Target("127.0.0.1", IQN, 1, 0).port == 1
    assert Target("127.0.0.1", IQN, (1 << 16) - 1, 255).lun == 255
    assert Target("127.0.0.1", "iqn-" + "x" * 219).iqn


@pytest.mark.parametrize("iqn", ["iqn-" + "x" * 220, "iqn.", "eui.02004567a425678d", "iqn-x y"])
def test_a_name_that_is_none_is_quoted(iqn):
    with pytest.raises(BakeryError, match="is not an iSCSI target name"):
        Target("127.0.0.1", iqn)


@pytest.mark.parametrize(
    ("text", "words"),
    [("node", "'node' is not an IP address"), ("fe80::1%eth0", "'fe80::1%eth0' has a scope id")],
)
def test_an_address_means_the_same_to_every_machine(text, words):
    with pytest.raises(BakeryError, match=words):
        plain_address(text)
    assert str(plain_address("192.0.2.1")) == "192.0.2.1"
    assert str(plain_address("FD00::1")) == "fd00::1"
