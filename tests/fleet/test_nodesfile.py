import copy
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakery.fleet import nodesfile
from bakery.fleet.records import Port

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
    return nodesfile.parse({"nodes": list(entries)})


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
        ("drivr", "ipmi", "drivr: is not known; did you mean 'driver'?"),
        ("driver", 7, "driver: must be text, not a number; write it in quotes"),
        ("driver", None, "driver: has no value"),
        ("name", "a b", "name: 'a b' is no name"),
        ("name", 7, "name: must be text"),
        ("name", "detail", "a word that Ironic keeps"),
        ("name", "5cc22a07-4290-4b92-aa7f-9bccc46001f7", "look like a UUID"),
        ("name", "x" * 256, "longer than 255"),
        ("uuid", "12", "uuid: '12' is no UUID"),
        ("resource_class", "bare metal", "resource_class: 'bare metal'"),
        ("resource_class", "x" * 81, "longer than 80"),
        ("description", "x" * 4097, "longer than 4096"),
        ("automated_clean", "maybe", "automated_clean: must be true or false"),
        ("driver_info", [], "driver_info: must be a mapping, not a list"),
        ("driver_info.ipmi_password", 12345678, "ipmi_password: must be text, not a number"),
        ("driver_info.ipmi_port", 70000, "ipmi_port: must be a port"),
        ("driver_info.ipmi_port", True, "ipmi_port: must be a port"),
        ("driver_info.ipmi_username", "a\nb", "ipmi_username: holds a character"),
        ("properties.cpus", "four", "properties.cpus: must be a whole number, not 'four'"),
        ("properties.cpus", -1, "properties.cpus: must be a whole number"),
        ("properties.memory_mb", 1.5, "properties.memory_mb: must be a whole number"),
        ("properties.capabilities", "boot_mode=uefi", "no capability"),
        ("properties.capabilities", "boot_mode:efi", "bios or uefi"),
        ("properties.capabilities", "a:b,a:c", "'a' is there twice"),
        ("properties.capabilities", ["a:b"], "must be a mapping, not a list"),
        ("properties.root_device.siz", 1, "root_device.siz: is no root device hint; did you mean"),
        ("properties.root_device.size", "=> 10", "root_device.size: '=> 10' cannot be read"),
        ("properties.root_device.size", "big", "cannot be read"),
        ("properties.root_device.model", ">= 10", "cannot be read"),
        ("properties.root_device.rotational", "often", "true or false"),
        ("properties.root_device", {}, "root_device: is empty"),
        ("properties.root_device.wwn", ["a"], "must be text or a number, not a list"),
        ("traits", ["CUSTOM-GPU"], "traits[0]: 'CUSTOM-GPU' is no standard trait"),
        ("traits", ["CUSTOM_gpu"], "CUSTOM_ and then capital letters"),
        ("traits", ["HW_CPU_X86_VMS"], "did you mean HW_CPU_X86_"),
        ("traits", ["CUSTOM_A", "CUSTOM_A"], "traits[1]: CUSTOM_A is there twice"),
        ("traits", "CUSTOM_A", "traits: must be a list, not text"),
        ("traits", [f"CUSTOM_{i}" for i in range(51)], "51 traits: a node has 50 at most"),
        ("ports", {}, "ports: must be a list, not a mapping"),
        ("ports", [7], "ports[0]: must be a mapping, not a number"),
        ("ports", [{}], "ports[0].address: is missing"),
        ("ports", [{"address": "52-54-00-12-34-56"}], "did you mean '52:54:00:12:34:56'?"),
        ("ports", [{"address": "52:54:00:12:34"}], "no MAC address"),
        ("ports", [{"address": "53:54:00:12:34:56"}], "a group address"),
        ("ports", [{"address": 3}], "ports[0].address: must be text"),
        ("ports", [{"adress": "x"}], "ports[0].adress: is not known; did you mean 'address'?"),
        ("ports", [{"address": "52:54:00:12:34:56"}] * 2, "is there twice"),
        ("ports", [{"address": "52:54:00:12:34:56", "local_link_connection": {"port_id": "1"}}],
         "needs port_id and switch_id"),
        ("ports", [{"address": "52:54:00:12:34:56",
                    "local_link_connection": {"port_id": "1", "switch_id": "x"}}],
         "switch_id: 'x' is neither"),
        ("portgroups", [], "no port groups"),
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
    assert all("is that of nodes[0] (one) too" in line for line in lines)


def test_systems_behind_one_bmc_are_others():
    def system(index):
        info = {"redfish_address": "https://chassis", "redfish_system_id": f"/Systems/{index}"}
        return {"name": f"s{index}", "driver": "redfish", "driver_info": info}

    assert said(system(1), system(2)) == []
    assert len(said(system(1), system(1) | {"name": "other"})) == 1


def test_a_node_that_nothing_tells_from_others_is_refused():
    assert "needs a name, or a port" in said({"driver": "ipmi"})[0]


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        (None, "must be a mapping, not nothing"), ("x", "must be a mapping, not text"),
        ({}, "there is no nodes:"), ({"node": []}, "did you mean 'nodes'?"),
        ({"nodes": {}}, "nodes: must be a list"),
        ({"nodes": [], "chassis": []}, "chassis: bakery enrols no chassis"),
    ],
)  # fmt: skip
def test_a_tree_of_another_shape_is_told(tree, words):
    assert words in " ".join(map(str, nodesfile.parse(tree).problems.found))


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
        fleet = nodesfile.parse(tree)
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
        ({"pm_type": "ipni"}, "pm_type: 'ipni' is not known; did you mean 'ipmi'?"),
        ({"pm_type": ["ipmi"]}, "is not known"),
        ({"pm_addr": ""}, "pm_addr: is missing"),
        ({"pm_adr": "x"}, "pm_adr: is not known; did you mean 'pm_addr'?"),
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
    fleet = nodesfile.parse({"nodes": [tree, {"driver": "ipmi", "name": "x", "ports": tree}]})
    assert all(str(problem).strip() for problem in fleet.problems.found)


def test_five_thousand_nodes_are_checked_in_seconds(tmp_path):
    file = tmp_path / "nodes.yaml"
    entry = "- {{name: n{0}, driver: ipmi, driver_info: {{ipmi_address: '10.{0}', a: b}}, ports: [{{address: '52:54:00:00:{1:02x}:{2:02x}'}}], properties: {{cpus: 4, capabilities: 'a:b'}}}}\n"  # noqa: E501
    file.write_text("nodes:\n" + "".join(entry.format(i, i >> 8, i & 255) for i in range(5000)))
    before = time.process_time()
    fleet = nodesfile.read(file)
    assert len(fleet.nodes) == 5000
    assert not fleet.problems
    print(f"5000 nodes: {time.process_time() - before:.1f} s")
