"""A nodes file and an interface as a place of nodes: what is refused, and what a conductor gets."""

import copy
import json
from ipaddress import IPv4Interface
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bakery.bmc.access import IpmiAccess, RedfishAccess
from bakery.conductor import interface, rack_site
from bakery.conductor.messages import Card, StaticNetwork
from bakery.host.errors import BakeryError
from bakery.node.agent import hints

ONE: dict[str, Any] = {
    "name": "r1-01",
    "driver": "ipmi",
    "driver_info": {
        "ipmi_address": "10.0.0.1",
        "ipmi_port": "6230",
        "ipmi_username": "admin",
        "ipmi_password": "${R1}",
    },
    "properties": {
        "cpu_arch": "amd64",
        "serial_number": "S1",
        "capabilities": "boot_mode:bios",
        "root_device": {"rotational": False, "size": ">= 100", "model": "a b"},
    },
    "ports": [
        {"address": "52:54:00:00:01:01", "pxe_enabled": False},
        {"address": "52:54:00:00:01:02"},
        {"address": "52:54:00:00:01:03"},
    ],
}
TWO: dict[str, Any] = {
    "name": "r1-02",
    "uuid": "6a3c9a3e-4b5f-4c39-9d5b-0f6a2b1c7d11",
    "driver": "redfish",
    "driver_info": {"redfish_address": "https://10.0.0.2", "redfish_password": "${R1}"},
    "ports": [{"address": "52:54:00:00:02:01"}],
}
THREE: dict[str, Any] = {
    "name": "other",
    "driver": "fake-hardware",
    "ports": [{"address": "52:54:00:00:03:01"}],
}


@pytest.fixture(autouse=True)
def wire(monkeypatch):
    monkeypatch.setenv("R1", "geheim")
    monkeypatch.setattr(interface, "address_of", lambda _name: IPv4Interface("192.0.2.1/24"))


@pytest.fixture
def file(tmp_path):
    def write(*nodes, mode=0o644):
        path = tmp_path / "rack.json"
        path.write_text(json.dumps({"nodes": nodes}))
        path.chmod(mode)
        return path

    return write


def site(path, *names, every=False):
    return rack_site.of_file(path, names, "eno2", path.parent / "state", every=every)


def said(path):
    fleet, _ = rack_site.checked(path)
    return [str(problem) for problem in fleet.problems.found]


def changed(path, value):
    node = copy.deepcopy(ONE)
    inner = node
    *way, last = path.split(".")
    for key in way:
        inner = inner[key]
    inner[last] = value
    return node


def test_a_folder_that_others_use_does_not_become_the_journals(file, tmp_path):
    shared = tmp_path / "state"
    shared.mkdir(mode=0o755)
    (shared / "theirs").touch()
    with pytest.raises(BakeryError, match="others use it"):
        site(file(ONE, TWO), "r1-01")
    assert shared.stat().st_mode & 0o777 == 0o755
    (shared / "theirs").unlink()
    assert site(file(ONE, TWO), "r1-01").journals == shared


def test_a_node_becomes_all_that_a_conductor_needs(file):
    place = site(file(ONE, TWO, THREE), "r1-01")
    (spec,) = place.nodes
    assert spec.bmc == IpmiAccess("10.0.0.1", 6230, "admin", "geheim")
    assert (spec.mac, spec.others) == (
        "52:54:00:00:01:02",
        (Card("52:54:00:00:01:03"), Card("52:54:00:00:01:01", boots=False)),
    )
    assert (spec.processor, spec.firmware, spec.serial) == ("x86_64", "bios", "S1")
    assert [str(hint) for hint in hints.parse(spec.root_device)] == [
        "model s== a b", "rotational == false", "size >= 100",
    ]  # fmt: skip
    assert spec.console == "" and place.is_real
    assert (place.interface, place.address) == ("eno2", "192.0.2.1/24")
    assert place.neighbours == {"52:54:00:00:02:01": "r1-02", "52:54:00:00:03:01": "other"}
    assert "geheim" not in repr(spec)


def test_a_redfish_node_has_its_own_access_and_its_own_uuid(file):
    (spec,) = site(file(ONE, TWO), "r1-02").nodes
    assert spec.bmc == RedfishAccess("https://10.0.0.2", password="geheim")
    assert (spec.uuid, spec.firmware, spec.root_device) == (UUID(TWO["uuid"]), "uefi", "")


def test_a_node_without_a_uuid_keeps_the_one_of_its_lowest_mac(file):
    first = site(file(ONE), "r1-01").nodes[0].uuid
    turned = ONE | {"ports": ONE["ports"][::-1], "name": "renamed"}
    assert site(file(turned), "renamed").nodes[0].uuid == first


@pytest.mark.parametrize(
    ("names", "every", "chosen"),
    [
        (("r1-02", "r1-01"), False, ["r1-02", "r1-01"]),
        (("r1-*",), False, ["r1-01", "r1-02"]),
        (("*2", "r1-0[12]"), False, ["r1-02", "r1-01"]),
        ((), True, ["r1-01", "r1-02"]),
    ],
)
def test_nodes_are_chosen_by_name_by_pattern_or_all(file, names, every, chosen):
    assert [spec.name for spec in site(file(ONE, TWO), *names, every=every).nodes] == chosen


@pytest.mark.parametrize(
    ("name", "words"),
    [("r1-03", "no node 'r1-03'"), ("r2-*", "no node 'r2-*'"), ("other", "fake-hardware")],
)
def test_a_name_of_no_node_and_a_driver_that_is_not_spoken_are_refused(file, name, words):
    with pytest.raises(BakeryError, match="^.*" + words.replace("*", r"\*")) as caught:
        site(file(ONE, TWO, THREE), name)
    assert caught.value.hint


def test_only_the_passwords_of_chosen_nodes_are_looked_up(file):
    missing = TWO | {"driver_info": TWO["driver_info"] | {"redfish_password": "${NOT_THERE}"}}
    assert len(site(file(ONE, missing), "r1-01").nodes) == 1
    with pytest.raises(rack_site.Wrong) as caught:
        site(file(ONE, missing), "r1-*")
    assert "NOT_THERE" in str(caught.value.fleet.problems.found[0])


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("ports", [], "ports: are missing"),
        ("ports", [{"address": "52:54:00:00:01:01", "pxe_enabled": False}], "no port has pxe_en"),
        ("driver_info", {}, "driver_info.ipmi_address: is missing"),
        ("driver_info.ipmi_username", "a" * 17, "too long for a user"),
        ("driver_info.ipmi_target_address", "0x72", "pass orders on to another"),
        ("properties.cpu_arch", "x86-64", "did you mean 'x86_64'?"),
        ("properties.serial_number", 7, "serial_number: must be text"),
        ("properties.root_device", {"wwn_vendor_extension": "x"}, "ramdisk does not know it"),
        ("properties.root_device", {"size": "big"}, "cannot be read"),
        ("properties.capabilities", "boot_mode:efi", "boot_mode is bios or uefi"),
        ("drivr", "ipmi", "drivr: is unknown"),
    ],
)
def test_what_keeps_a_node_from_being_deployed_is_a_fault_of_the_file(file, path, value, words):
    lines = said(file(changed(path, value)))
    assert len(lines) == 1 and words in lines[0]


def test_a_node_needs_a_name(file):
    (line,) = said(file({key: value for key, value in ONE.items() if key != "name"}))
    assert "name: is missing" in line


def test_what_two_nodes_share_is_a_fault_however_it_is_written(file):
    twin = ONE | {"name": "twin", "ports": [{"address": "52:54:00:00:09:09"}]}
    plain = changed("driver_info.ipmi_port", 623)
    other = copy.deepcopy(twin)
    del other["driver_info"]["ipmi_port"]
    (line,) = said(file(plain, other))
    assert "driver_info.ipmi_address: 10.0.0.1 is also that of" in line
    slash = TWO | {
        "name": "slash",
        "uuid": str(UUID(int=1)),
        "ports": [{"address": "52:54:00:00:09:08"}],
    }
    slash["driver_info"] = {"redfish_address": "10.0.0.2/"}
    (line,) = said(file(TWO, slash))
    assert "redfish_address" in line
    slash["driver_info"] = {"redfish_address": "10.0.0.2:443"}
    assert "redfish_address" in "".join(said(file(TWO, slash)))
    slash["driver_info"] |= {"redfish_system_id": "/redfish/v1/Systems/1/"}
    (line,) = said(file(TWO, slash))
    assert "redfish_system_id: is missing" in line and "slash" in line


@pytest.mark.parametrize(("mode", "count"), [(0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1)])
def test_a_password_in_the_file_is_as_good_as_its_mode(file, mode, count):
    lines = said(file(changed("driver_info.ipmi_password", "geheim"), mode=mode))
    assert len(lines) == count and not any("geheim" in line for line in lines)


def test_what_only_ironic_deploys_is_named_and_no_fault(file):
    fleet, foreign = rack_site.checked(file(ONE, THREE))
    assert (foreign, fleet.problems.found) == (["other"], [])


def test_a_password_that_ipmi_cannot_carry_is_told_before_anything_is_sent(file, monkeypatch):
    monkeypatch.setenv("R1", "g" * 21)
    with pytest.raises(rack_site.Wrong) as caught:
        site(file(ONE), "r1-01")
    assert "longer than the 20 bytes" in str(caught.value.fleet.problems.found[0])


def test_state_lies_where_xdg_has_it(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert rack_site.default_state() == tmp_path / "bakery/rack"
    monkeypatch.delenv("XDG_STATE_HOME")
    assert str(rack_site.default_state()).endswith(".local/state/bakery/rack")


NETWORK_DATA = {
    "links": [{"id": "a", "type": "phy", "ethernet_mac_address": "52:54:00:00:02:01"}],
    "networks": [
        {"id": "n", "type": "ipv4", "link": "a", "ip_address": "10.1.0.5", "netmask": "255.255.0.0"}
    ],
}


def test_a_nodes_own_network_is_that_of_its_network_data(file, tmp_path):
    node = TWO | {"network_data": NETWORK_DATA}
    site = rack_site.of_file(file(node), ["r1-02"], "eth0", tmp_path)
    assert site.nodes[0].network == StaticNetwork("52:54:00:00:02:01", "10.1.0.5/16")
    assert rack_site.of_file(file(TWO), ["r1-02"], "eth0", tmp_path).nodes[0].network is None


def test_a_network_that_a_ramdisk_cannot_be_given_is_a_fault_of_the_file(file):
    broken = copy.deepcopy(NETWORK_DATA)
    broken["networks"][0]["ip_address"] = "10.1.255.255"
    fleet, _ = rack_site.checked(file(TWO | {"network_data": broken}))
    (problem,) = fleet.problems.found
    assert "10.1.255.255/16 cannot be a node's address" in problem.message
    assert "network_data" in problem.place[1]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
PLACES = st.sampled_from(
    [
        *("name", "uuid", "driver", "driver_info", "properties", "ports", "traits"),
        "network_data",
        *(f"driver_info.{key}" for key in ONE["driver_info"]),
        *("driver_info.password_file", "driver_info.password_command", "driver_info.other"),
        *(f"properties.{key}" for key in ONE["properties"]),
        *("properties.root_device.size", "properties.root_device.other"),
    ]
)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=PLACES, value=VALUES)
def test_whatever_stands_at_one_place_is_read_or_is_a_fault_there(file, place, value):
    path = file(changed(place, value), TWO)
    fleet, _ = rack_site.checked(path)
    top = place.partition(".")[0]
    for problem in fleet.problems.found:
        label, field = problem.place
        assert problem.message.isprintable() and fleet.lines.of(label, field) == 1
        assert not field or field.startswith(top) or top in ("name", "driver", "uuid")
    if not fleet.problems and fleet.nodes[0].driver == "ipmi" and not fleet.nodes[0].password:
        name = fleet.nodes[0].name
        spec = rack_site.of_file(path, [name], "eno2", path.parent).nodes[0]
        assert spec.name == name and spec.bmc.address
