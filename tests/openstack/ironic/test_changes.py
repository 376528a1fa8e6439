import pytest

from bakery.openstack.ironic import changes, nodes_file
from bakery.openstack.ironic.changes import MASK, Change, Present
from bakery.openstack.ironic.known import drivers, versions
from bakery.openstack.ironic.problems import Problems
from bakery.openstack.ironic.records import Driver, NodeThere, PortThere

MAC, OTHER_MAC = "52:54:00:12:34:56", "52:54:00:12:34:57"
NODE = {
    "name": "one",
    "driver": "ipmi",
    "driver_info": {"ipmi_address": "10.0.0.1", "ipmi_password": "gesheim1"},
    "properties": {"cpus": 4, "capabilities": "a:1,b:2"},
    "traits": ["CUSTOM_B", "CUSTOM_A"],
    "ports": [{"address": MAC, "physical_network": "net"}],
}
THERE = NodeThere(
    uuid="u1",
    name="one",
    fields={
        "name": "one",
        "driver": "ipmi",
        "driver_info": {"ipmi_address": "10.0.0.1", "ipmi_password": MASK, "ipmi_port": 623},
        "properties": {"cpus": "4", "memory_mb": 4096, "capabilities": "b:2,found:yes,a:1"},
    },
    traits=("CUSTOM_A", "CUSTOM_B"),
)
PORT = PortThere(uuid="p1", address=MAC, node_uuid="u1", fields={"physical_network": "net"})


def wanted(*entries):
    fleet = nodes_file.parse({"nodes": list(entries)})
    assert not fleet.problems, fleet.problems.found
    return fleet.nodes


def work(entry, nodes=(THERE,), ports=(PORT,), **more):
    (found,) = changes.compare(wanted(entry), Present(nodes, ports), **more)
    return found


def refused(entries, nodes=(THERE,), ports=(PORT,)):
    problems = Problems()
    changes.matches(problems, wanted(*entries), Present(nodes, ports))
    return " / ".join(map(str, problems.found))


def test_what_is_not_there_is_created():
    found = work(NODE, (), ())
    assert (found.action, found.there) == ("create", "")
    assert found.traits == ("CUSTOM_A", "CUSTOM_B")
    assert [one.uuid for one in found.ports] == [""]
    body = changes.body(found.node)
    assert body["name"] == "one"
    assert body["properties"] == {"cpus": 4, "capabilities": "a:1,b:2"}
    assert not {"ports", "traits", "uuid"} & set(body)


def test_what_is_as_it_should_be_is_left_alone_with_all_the_file_does_not_speak_of():
    found = work(NODE)
    assert (found.action, found.patch, found.traits, found.ports) == ("none", [], None, ())


def test_what_differs_is_patched_and_nothing_else():
    entry = NODE | {
        "resource_class": "big",
        "properties": {"cpus": 8, "capabilities": "a:3", "x/y~z": 1},
        "traits": ["CUSTOM_A"],
        "ports": [{"address": MAC, "pxe_enabled": False}, {"address": OTHER_MAC}],
    }
    found = work(entry)
    assert found.action == "update"
    assert found.patch == [
        {"op": "add", "path": "/resource_class", "value": "big"},
        {"op": "add", "path": "/properties/cpus", "value": 8},
        {"op": "add", "path": "/properties/x~1y~0z", "value": 1},
        {"op": "add", "path": "/properties/capabilities", "value": "a:3,b:2,found:yes"},
    ]
    assert found.traits == ("CUSTOM_A",)
    assert [(one.uuid, one.patch) for one in found.ports] == [
        ("p1", [{"op": "add", "path": "/pxe_enabled", "value": False}]),
        ("", []),
    ]
    assert Change("properties.cpus", "4", 8) in found.changes


def test_a_password_is_sent_where_it_is_wanted_and_never_shown():
    found = work(NODE, secrets=True)
    assert found.patch == [{"op": "add", "path": "/driver_info/ipmi_password", "value": "gesheim1"}]
    assert found.changes == (Change("driver_info.ipmi_password"),)
    new = work(NODE | {"driver_info": {"ipmi_password": "gesheim1", "snmp_community": "gesheim2"}})
    assert new.changes == (Change("driver_info.snmp_community"),)


def test_a_port_keeps_the_keys_of_a_mapping_that_the_file_does_not_speak_of():
    there = PortThere(uuid="p1", address=MAC, node_uuid="u1", fields={"extra": {"a": 1}})
    entry = NODE | {"ports": [{"address": MAC, "extra": {"b": 2}}]}
    (port,) = work(entry, ports=(there,)).ports
    assert port.patch == [{"op": "add", "path": "/extra", "value": {"a": 1, "b": 2}}]


def test_a_flag_is_no_number():
    there = NodeThere(uuid="u1", name="one", fields={"driver": "ipmi", "extra": {"x": 1}})
    assert work({"name": "one", "driver": "ipmi", "extra": {"x": True}}, (there,)).patch


def test_a_node_without_a_name_is_found_by_its_mac_and_gets_the_uuid_of_it():
    nameless = {key: value for key, value in NODE.items() if key != "name"}
    assert work(nameless).there == "u1"
    created = work(nameless, (), ())
    uuid = changes.body(created.node)["uuid"]
    assert uuid == changes.own_uuid(created.node)
    left = NodeThere(uuid=str(uuid), fields={"driver": "ipmi"})
    assert work(nameless, (left,), ()).there == uuid


def test_a_nameless_node_of_the_cloud_is_taken_over_by_its_mac():
    nameless = NodeThere(uuid="u1", fields=dict(THERE.fields) | {"name": None})
    found = work(NODE, (nameless,))
    assert found.there == "u1"
    assert found.patch == [{"op": "add", "path": "/name", "value": "one"}]


def test_a_mac_of_another_node_of_the_cloud_is_refused_by_name():
    said = refused([NODE | {"name": "two"}])
    assert f"ports[0].address: {MAC} is a port of another node of the cloud: 'one'" in said
    assert "may not see" in refused([NODE | {"name": "two"}], nodes=())


def test_a_port_of_another_node_is_never_patched():
    elsewhere = PortThere(uuid="p1", address=MAC, node_uuid="u9", fields={})
    found = changes.of_node(wanted(NODE)[0], THERE, Present([THERE], [elsewhere]))
    assert [(one.uuid, one.patch) for one in found.ports] == [("", [])]


def test_names_and_uuids_that_cross_are_refused():
    uuid = "5cc22a07-4290-4b92-aa7f-9bccc46001f7"
    other = NodeThere(uuid=uuid, name="two", fields={})
    assert "is called 'two'" in refused([NODE | {"uuid": uuid, "name": "x"}], (other,), ())
    assert "node u1 has this name" in refused([NODE | {"uuid": uuid}], (THERE, other))
    nameless = {"driver": "ipmi", "ports": [{"address": MAC}]}
    assert "same node of the cloud" in refused([NODE | {"ports": []}, nameless])


def test_a_parent_is_known_by_its_name():
    fields = {"name": "child", "driver": "ipmi", "parent_node": "u1"}
    there = NodeThere(uuid="u2", name="child", fields=fields)
    entry = {"name": "child", "driver": "ipmi", "parent_node": "one"}
    assert work(entry, (THERE, there)).action == "none"


IPMI = Driver("ipmi", {"boot": ("ipxe", "pxe")}, frozenset({"ipmi_address", "ipmi_password"}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"driver": "ipni"}, "driver: the cloud has no driver 'ipni'; did you mean 'ipmi'?"),
        (
            {"boot_interface": "ipx"},
            "boot_interface: 'ipx' is not enabled for the driver ipmi; did",
        ),
        ({"power_interface": "x"}, "there are none"),
        ({"driver_info": {"ipmi_adress": "x"}}, "did you mean 'ipmi_address'?"),
        ({"driver_info": {"site": "x"}}, ""),
    ],
)
def test_what_the_clouds_drivers_do_not_know_is_told(change, words):
    problems = Problems()
    drivers(problems, wanted(NODE | change), {"ipmi": IPMI})
    told = " ".join(map(str, problems.found))
    assert words in told
    assert bool(words) == bool(problems)


def test_a_field_too_new_for_the_cloud_is_told():
    problems = Problems()
    ports = [{"address": MAC, "name": "eth0"}]
    versions(problems, wanted(NODE | {"shard": "a", "ports": ports}), 60)
    assert [str(one) for one in problems.found] == [
        "nodes[0] (one): shard: needs version 1.82 of the API; the cloud speaks 1.60",
        "nodes[0] (one): ports[0].name: needs version 1.88 of the API; the cloud speaks 1.60",
    ]


ID = "5cc22a07-4290-4b92-aa7f-9bccc46001f7"
NAMED = {"name": "one", "driver": "ipmi"}
NAMELESS = {"driver": "ipmi", "ports": [{"address": OTHER_MAC}, {"address": MAC}]}


def test_the_uuid_of_a_nameless_node_is_that_of_its_first_mac_in_any_order():
    turned = NAMELESS | {"ports": NAMELESS["ports"][::-1]}
    first = NAMELESS | {"ports": [{"address": MAC}]}
    made = {changes.own_uuid(node) for node in wanted(first)} | {
        changes.own_uuid(node) for one in (NAMELESS, turned) for node in wanted(one)
    }
    assert len(made) == 1


def test_a_body_has_the_uuid_that_is_given_and_none_beside_a_name_alone():
    def body(entry):
        return changes.body(wanted(entry)[0])

    assert body(NODE | {"uuid": ID})["uuid"] == body(NAMELESS | {"uuid": ID})["uuid"] == ID
    assert "name" not in body(NAMELESS)
    plain = body({"name": "n", "driver": "ipmi", "properties": {"cpus": 1}, "extra": {"a": 1}})
    assert plain == {"name": "n", "driver": "ipmi", "properties": {"cpus": 1}, "extra": {"a": 1}}


def test_a_field_is_shown_with_what_it_was_and_a_mapping_by_its_name_alone():
    there = NodeThere(uuid="u1", name="one", fields=NAMED | {"owner": "a"})
    entry = {"name": "one", "driver": "ipmi", "owner": "b", "network_data": {"links": []}}
    found = work(entry, (there,), ())
    assert set(found.changes) >= {Change("owner", "a", "b"), Change("network_data")}
    assert {one["path"] for one in found.patch} >= {"/owner", "/network_data"}


def test_a_password_that_the_cloud_shows_is_compared():
    details = {"ipmi_password": "other"}
    there = NodeThere(uuid="u1", name="one", fields=NAMED | {"driver_info": details})
    entry = {"name": "one", "driver": "ipmi", "driver_info": {"ipmi_password": "gesheim1"}}
    assert work(entry, (there,), ()).action == "update"
    assert work(entry | {"driver_info": details}, (there,), (), secrets=True).action == "none"
    found = changes.of_node(wanted(NODE)[0], THERE, Present([THERE], [PORT]))
    assert found.action == "none"


@pytest.mark.parametrize(
    ("was", "now", "same"),
    [("1", 1, False), (1, 1, True), (True, 1, False), (True, True, True), (None, "", False)],
)
def test_a_value_is_the_same_only_as_itself(was, now, same):
    there = NodeThere(uuid="u1", name="one", fields=NAMED | {"extra": {"x": was}})
    found = work({"name": "one", "driver": "ipmi", "extra": {"x": now}}, (there,), ())
    assert (found.action == "none") is same


def test_a_mapping_that_the_cloud_does_not_have_is_filled():
    there = NodeThere(uuid="u1", name="one", fields=NAMED | {"properties": None})
    entry = {"name": "one", "driver": "ipmi", "properties": {"capabilities": "a:1"}}
    found = work(entry, (there,), ())
    assert found.patch == [{"op": "add", "path": "/properties/capabilities", "value": "a:1"}]


def test_traits_that_the_file_does_not_name_stay_and_none_are_taken_away_on_demand():
    def traits(entry):
        return work({"name": "one", "driver": "ipmi"} | entry, ports=()).traits

    assert traits({}) is None
    assert traits({"traits": []}) == ()
    assert traits({"traits": ["CUSTOM_B", "CUSTOM_A"]}) is None
    assert work({"name": "new", "driver": "ipmi", "traits": []}, (), ()).traits is None


def test_capabilities_of_ironic_are_read_as_ironic_reads_them():
    assert changes.split("a:1, b : 2 ,c,d:e:f") == {"a": "1", "b": "2"}
    assert changes.split(None) == {}
    assert changes.joined({"b": "2", "a": "1"}) == "a:1,b:2"


def test_a_uuid_goes_before_a_name_and_a_name_before_a_mac():
    by_uuid = NodeThere(uuid=ID, name="", fields={"driver": "ipmi"})
    assert work(NODE | {"uuid": ID, "name": "x"}, (by_uuid, THERE)).there == ID
    elsewhere = PortThere(uuid="p1", address=MAC, node_uuid=ID, fields={})
    assert work(NODE, (by_uuid, THERE), (elsewhere,)).there == "u1"
    assert work(NODE | {"uuid": ID, "name": "new"}, (), ()).there == ""


def test_a_node_that_is_called_otherwise_is_not_found_by_a_mac():
    assert work(NODE | {"name": "two"}).action == "create"
    hidden = PortThere(uuid="p1", address=MAC, node_uuid="hidden", fields={})
    assert work(NAMELESS, (), (hidden,)).action == "create"


def test_what_is_as_it_should_be_is_refused_nothing():
    assert refused([NODE]) == ""
    assert refused([NODE], (), ()) == ""
    own = PortThere(uuid="p2", address=OTHER_MAC, node_uuid="u1", fields={})
    assert refused([NODE | {"ports": [{"address": OTHER_MAC}]}], (THERE,), (own,)) == ""


def test_a_mac_of_the_cloud_is_known_in_either_case():
    loud = PortThere(uuid="p1", address=MAC.upper(), node_uuid="u1", fields=PORT.fields)
    assert work(NODE, (THERE,), (loud,)).action == "none"


def test_the_uuid_of_a_port_is_never_changed():
    entry = NODE | {"ports": [{"address": MAC, "uuid": ID}]}
    assert work(entry).ports == ()
