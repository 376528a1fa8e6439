import copy
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakery.openstack.ironic import nodes_file
from bakery.openstack.ironic.records import Port

NODE = {
    "name": "one",
    "driver": "ipmi",
    "resource_class": "baremetal",
    "driver_info": {"ipmi_address": "10.0.0.1", "ipmi_port": 623, "ipmi_password": "gesheim1"},
    "properties": {
        "cpus": 4,
        "memory_mb": "4096",
        "cpu_arch": "x86_64",
        "capabilities": "boot_mode:uefi,profile:compute",
        "root_device": {"size": ">= 100", "model": "<or> a <or> b", "rotational": False},
    },
    "traits": ["HW_CPU_X86_VMX", "CUSTOM_GPU"],
    "ports": [{"address": "52:54:00:AA:BB:CC", "pxe_enabled": True}],
}


def parse(*entries):
    return nodes_file.parse({"nodes": list(entries)})


def said(*entries):
    return [str(problem) for problem in parse(*entries).problems.found]


def changed(path, value):
    """The node above, with another value at a path."""
    node: dict[str, Any] = copy.deepcopy(NODE)
    inner = node
    *way, last = path.split(".")
    for key in way:
        inner = inner.setdefault(key, {})
    inner[last] = value
    return node


def test_a_whole_node_is_read():
    fleet = parse(NODE)
    assert not fleet.problems
    (node,) = fleet.nodes
    assert (node.name, node.driver) == ("one", "ipmi")
    assert node.mappings["properties"]["memory_mb"] == 4096
    assert node.capabilities == {"boot_mode": "uefi", "profile": "compute"}
    assert node.traits == ("CUSTOM_GPU", "HW_CPU_X86_VMX")
    assert node.ports == (Port("52:54:00:aa:bb:cc", {"pxe_enabled": True}),)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("drivr", "ipmi", "drivr: is unknown; did you mean 'driver'?"),
        ("driver", 7, "driver: must be text, not a number; write it in quotes"),
        ("driver", None, "driver: has no value"),
        ("name", "a b", "name: 'a b' is not a name"),
        ("name", 7, "name: must be text"),
        ("name", "detail", "reserved by Ironic"),
        ("name", "5cc22a07-4290-4b92-aa7f-9bccc46001f7", "look like a UUID"),
        ("name", "x" * 256, "longer than 255"),
        ("uuid", "12", "uuid: '12' is not a UUID"),
        ("resource_class", "bare metal", "resource_class: 'bare metal'"),
        ("resource_class", "x" * 81, "longer than 80"),
        ("description", "x" * 4097, "longer than 4096"),
        ("automated_clean", "maybe", "automated_clean: must be true or false"),
        ("driver_info", [], "driver_info: must be a mapping, not a list"),
        ("driver_info.ipmi_password", 12345678, "ipmi_password: must be text, not a number"),
        ("driver_info.ipmi_port", 70000, "ipmi_port: must be a port"),
        ("driver_info.ipmi_port", True, "ipmi_port: must be a port"),
        ("driver_info.ipmi_username", "a\nb", "ipmi_username: contains an unprintable character"),
        ("properties.cpus", "four", "properties.cpus: must be a whole number, not 'four'"),
        ("properties.cpus", -1, "properties.cpus: must be a whole number"),
        ("properties.memory_mb", 1.5, "properties.memory_mb: must be a whole number"),
        ("properties.capabilities", "boot_mode=uefi", "is not a capability"),
        ("properties.capabilities", "boot_mode:efi", "bios or uefi"),
        ("properties.capabilities", "a:b,a:c", "'a' appears twice"),
        ("properties.capabilities", ["a:b"], "must be a mapping, not a list"),
        ("properties.root_device.siz", 1, "siz: is not a root device hint; did you mean"),
        ("properties.root_device.size", "=> 10", "root_device.size: '=> 10' cannot be read"),
        ("properties.root_device.size", "big", "cannot be read"),
        ("properties.root_device.model", ">= 10", "cannot be read"),
        ("properties.root_device.rotational", "often", "true or false"),
        ("properties.root_device", {}, "root_device: is empty"),
        ("properties.root_device.wwn", ["a"], "must be text or a number, not a list"),
        ("traits", ["CUSTOM-GPU"], "traits[0]: 'CUSTOM-GPU' is not a standard trait"),
        ("traits", ["CUSTOM_gpu"], "CUSTOM_ and then only capital letters"),
        ("traits", ["HW_CPU_X86_VMS"], "did you mean HW_CPU_X86_"),
        ("traits", ["CUSTOM_A", "CUSTOM_A"], "traits[1]: CUSTOM_A appears twice"),
        ("traits", "CUSTOM_A", "traits: must be a list, not text"),
        ("traits", [f"CUSTOM_{i}" for i in range(51)], "51 traits: a node has 50 at most"),
        ("ports", {}, "ports: must be a list, not a mapping"),
        ("ports", [7], "ports[0]: must be a mapping, not a number"),
        ("ports", [{}], "ports[0].address: is missing"),
        ("ports", [{"address": "52-54-00-12-34-56"}], "did you mean '52:54:00:12:34:56'?"),
        ("ports", [{"address": "52:54:00:12:34"}], "not a MAC address"),
        ("ports", [{"address": "53:54:00:12:34:56"}], "a multicast address"),
        ("ports", [{"address": 3}], "ports[0].address: must be text"),
        ("ports", [{"adress": "x"}], "ports[0].adress: is unknown; did you mean 'address'?"),
        ("ports", [{"address": "52:54:00:12:34:56"}] * 2, "appears twice"),
        ("ports", [{"address": "52:54:00:12:34:56", "local_link_connection": {"port_id": "1"}}],
         "needs port_id and switch_id"),
        ("ports", [{"address": "52:54:00:12:34:56",
                    "local_link_connection": {"port_id": "1", "switch_id": "x"}}],
         "switch_id: 'x' is neither"),
        ("portgroups", [], "does not enroll port groups"),
    ],
)  # fmt: skip
def test_what_is_wrong_names_node_and_field(path, value, words):
    lines = said(changed(path, value))
    assert len([line for line in lines if words in line]) == 1, lines
    assert all(line.startswith("nodes[0]") for line in lines)


def test_secrets_are_never_told():
    node = changed("driver_info.ipmi_password", "gesheim1\n")
    node["driver_info"]["snmp_community"] = ["gesheim1"]
    assert len(said(node)) == 2
    assert "gesheim1" not in " ".join(said(node))


def test_all_problems_come_at_once_each_with_its_node():
    lines = said(changed("cpus", 1), changed("ports", []), changed("drvier", 1), "x")
    assert any("nodes[0] (one): cpus" in line for line in lines)
    assert any("nodes[2] (one): drvier" in line for line in lines)
    assert any(line.startswith("nodes[3]: must be a mapping") for line in lines)


def test_what_two_nodes_cannot_share_is_told_with_both():
    lines = said(NODE, NODE)
    for words in ("name: one", "ports[0]: 52:54:00:aa:bb:cc", "driver_info.ipmi_address: 10.0.0.1"):
        assert f"nodes[1] (one): {words}" in " ".join(lines)
    assert all("is also that of nodes[0] (one)" in line for line in lines)


def test_systems_behind_one_bmc_are_others():
    def system(index):
        info = {"redfish_address": "https://chassis", "redfish_system_id": f"/Systems/{index}"}
        return {"name": f"s{index}", "driver": "redfish", "driver_info": info}

    assert said(system(1), system(2)) == []
    assert len(said(system(1), system(1) | {"name": "other"})) == 1


def test_a_node_that_nothing_tells_from_others_is_refused():
    assert "needs a name or a port" in said({"driver": "ipmi"})[0]


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        (None, "must be a mapping, not nothing"), ("x", "must be a mapping, not text"),
        ({}, "it has no nodes:"), ({"node": []}, "did you mean 'nodes'?"),
        ({"nodes": {}}, "nodes: must be a list"),
        ({"nodes": [], "chassis": []}, "chassis: bakery does not enroll chassis"),
    ],
)  # fmt: skip
def test_a_tree_of_another_shape_is_told(tree, words):
    assert words in " ".join(map(str, nodes_file.parse(tree).problems.found))


INSTACK = {
    "pm_type": "pxe_ipmitool",
    "pm_addr": "10.0.0.1",
    "pm_user": "admin",
    "pm_password": "gesheim1",
    "pm_port": "6230",
    "mac": ["52:54:00:12:34:56"],
    "cpu": "4",
    "memory": "6144",
    "disk": "40",
    "arch": "x86_64",
    "capabilities": "boot_option:local",
    "profile": "control",
    "root_device": {"wwn": "0x4000"},
    "kernel_id": "k",
    "_comment": "the first",
}


def test_tripleos_words_become_ironics():
    for tree in ({"nodes": [INSTACK]}, [INSTACK]):
        fleet = nodes_file.parse(tree)
        assert not fleet.problems, fleet.problems.found
    (node,) = fleet.nodes
    assert node.fields == {"driver": "ipmi", "resource_class": "baremetal"}
    assert node.mappings["driver_info"] == {
        "ipmi_address": "10.0.0.1", "ipmi_username": "admin", "ipmi_password": "gesheim1",
        "ipmi_port": "6230", "deploy_kernel": "k", "rescue_kernel": "k",
    }  # fmt: skip
    assert node.mappings["properties"] == {
        "cpus": 4, "memory_mb": 6144, "local_gb": 40, "cpu_arch": "x86_64",
        "root_device": {"wwn": "0x4000"},
    }  # fmt: skip
    assert node.capabilities == {"boot_option": "local", "profile": "control"}
    assert node.ports == (Port("52:54:00:12:34:56"),)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pm_type": "ipni"}, "pm_type: 'ipni' is unknown; did you mean 'ipmi'?"),
        ({"pm_type": ["ipmi"]}, "is unknown"),
        ({"pm_addr": ""}, "pm_addr: is missing"),
        ({"pm_adr": "x"}, "pm_adr: is unknown; did you mean 'pm_addr'?"),
        ({"mac": "52:54:00:12:34:56"}, "mac: must be a list, not text"),
        ({"capabilities": 7}, "capabilities: must be a mapping"),
        ({"platform": "SNB", "arch": ""}, "platform: needs arch"),
        ({"memory": "much"}, "properties.memory_mb: must be a whole number"),
        ({"profile": ["x"]}, "profile: must be text"),
    ],
)
def test_what_is_wrong_in_tripleos_words_is_told(change, words):
    assert words in " ".join(said(INSTACK | change))


def test_each_kind_of_management_has_its_own_names():
    redfish = {"pm_type": "redfish", "pm_addr": "https://x", "pm_system_id": "/S/1", "name": "r"}
    (node,) = parse(redfish).nodes
    assert node.mappings["driver_info"] == {
        "redfish_address": "https://x", "redfish_system_id": "/S/1"
    }  # fmt: skip
    assert "pm_system_id: is missing" in " ".join(said(redfish | {"pm_system_id": ""}))


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            ["nodes", "name", "driver", "driver_info", "properties", "ports", "address", "traits",
             "pm_type", "mac", "capabilities", "root_device", "size", "cpus", "uuid", "extra",
             "local_link_connection", "switch_id", "capabilities", "profile", "ipmi_address"]
        ) | st.text(max_size=6),
        inner, max_size=5,
    ),
    max_leaves=30,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(tree=TREES)
def test_no_tree_makes_it_fail_otherwise(tree):
    fleet = nodes_file.parse({"nodes": [tree, {"driver": "ipmi", "name": "x", "ports": tree}]})
    assert all(str(problem).strip() for problem in fleet.problems.found)


def test_five_thousand_nodes_are_checked_in_seconds(tmp_path):
    file = tmp_path / "nodes.yaml"
    entry = "- {{name: n{0}, driver: ipmi, driver_info: {{ipmi_address: '10.{0}', a: b}}, ports: [{{address: '52:54:00:00:{1:02x}:{2:02x}'}}], properties: {{cpus: 4, capabilities: 'a:b'}}}}\n"  # noqa: E501
    file.write_text("nodes:\n" + "".join(entry.format(i, i >> 8, i & 255) for i in range(5000)))
    before = time.process_time()
    fleet = nodes_file.read(file)
    assert len(fleet.nodes) == 5000
    assert not fleet.problems
    print(f"5000 nodes: {time.process_time() - before:.1f} s")


def test_a_conductor_group_is_kept_in_lower_case_as_ironic_does_and_nothing_else():
    (node,) = parse(NODE | {"conductor_group": "Rack-A", "owner": "Me", "lessee": "Me"}).nodes
    assert node.fields["conductor_group"] == "rack-a"
    assert (node.fields["owner"], node.fields["lessee"]) == ("Me", "Me")
    (line,) = said(NODE | {"conductor_group": 7})
    assert "conductor_group: must be text" in line


def test_what_bakery_does_not_enroll_is_told_by_its_name():
    fleet = nodes_file.parse({"nodes": [NODE], "chassis": [], "nods": []})
    lines = [str(problem) for problem in fleet.problems.found]
    assert lines[0].startswith("chassis: bakery does not enroll chassis")
    assert lines[1] == "nods: is unknown; did you mean 'nodes'?"
    assert len(fleet.nodes) == 1


def test_other_properties_stay_as_they_are():
    (node,) = parse(changed("properties.vendor", "x")).nodes
    assert node.mappings["properties"]["vendor"] == "x"
    (node,) = parse(changed("properties.slots", [1])).nodes
    assert node.mappings["properties"]["slots"] == [1]
    (line,) = said(changed("properties.vendor", None))
    assert "properties.vendor: must be text, not nothing" in line


def bmc(name, driver, **details):
    return {"name": name, "driver": driver, "driver_info": details}


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (bmc("a", "ipmi", ipmi_address="x"), bmc("b", "ipmi", ipmi_address="x"), "x is also that"),
        (
            bmc("a", "ipmi", ipmi_address="x", ipmi_port=1),
            bmc("b", "ipmi", ipmi_address="x", ipmi_port=2),
            "",
        ),
        (
            bmc("a", "redfish", redfish_address="x", redfish_system_id="/1"),
            bmc("b", "redfish", redfish_address="x", redfish_system_id="/1"),
            "driver_info.redfish_address: x /1 is also that of nodes[0] (a)",
        ),
        (
            bmc("a", "redfish", redfish_address="x", redfish_system_id="/1"),
            bmc("b", "redfish", redfish_address="x", redfish_system_id="/2"),
            "",
        ),
        (bmc("a", "ilo", ilo_address="x"), bmc("b", "ilo", ilo_address="x"), ""),
        (bmc("a", "ipmi"), bmc("b", "ipmi"), ""),
        (NODE | {"ports": []}, bmc("one", "ipmi"), "name: one is also that of nodes[0] (one)"),
        (
            {"driver": "ipmi", "uuid": "5cc22a07-4290-4b92-aa7f-9bccc46001f7"},
            {"driver": "ipmi", "uuid": "5CC22A07-4290-4B92-AA7F-9BCCC46001F7"},
            "nodes[1]: uuid: 5cc22a07-4290-4b92-aa7f-9bccc46001f7 is also that of nodes[0]",
        ),
        (
            bmc("a", "ipmi") | {"ports": NODE["ports"]},
            bmc("b", "ipmi") | {"ports": [{"address": "52:54:00:00:00:02"}, *NODE["ports"]]},
            "ports[1]: 52:54:00:aa:bb:cc is also that of nodes[0] (a)",
        ),
    ],
)
def test_what_only_one_node_can_have_is_told_of_the_second(first, second, words):
    lines = said(first, second)
    assert len(lines) == bool(words)
    assert words in " ".join(lines)


def test_a_mac_that_a_node_has_twice_is_told_once():
    (line,) = said(NODE | {"ports": [*NODE["ports"], *NODE["ports"]]})
    assert line.endswith("ports[1]: 52:54:00:aa:bb:cc appears twice")


@pytest.mark.parametrize("own", [{"name": "a"}, {"ports": [{"address": "52:54:00:00:00:02"}]}])
def test_a_node_is_found_again_by_its_name_or_a_port(own):
    assert said({"driver": "ipmi"} | own) == []


def test_a_port_has_its_own_fields():
    port = {"address": "52:54:00:AA:BB:CC", "name": "eth0", "pxe_enabled": "no", "extra": {}}
    (node,) = parse(NODE | {"ports": [port]}).nodes
    fields = {"name": "eth0", "pxe_enabled": False, "extra": {}}
    assert node.ports == (Port("52:54:00:aa:bb:cc", fields),)
    link = {"port_id": "1", "switch_id": "AA:BB:CC:00:00:01"}
    (node,) = parse(NODE | {"ports": [port | {"local_link_connection": link}]}).nodes
    assert node.ports[0].fields["local_link_connection"]["switch_id"] == "aa:bb:cc:00:00:01"
    assert any(
        "name: 'a b' is not a name" in line
        for line in said(NODE | {"ports": [port | {"name": "a b"}]})
    )
