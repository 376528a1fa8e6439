"""What each request to Ironic says, and what is made of its answer."""

import pytest

from bakery.openstack.connection import CloudError
from bakery.openstack.ironic.client import STATE_FIELDS
from tests.openstack.ironic import standin
from tests.openstack.ironic.standin import Fault, Service

MAC, OTHER_MAC = "52:54:00:12:34:56", "52:54:00:12:34:57"


@pytest.fixture
def service():
    made = Service()
    made.node("u", name="one")
    made.node("v", name="two")
    return made


@pytest.fixture
def ironic(service):
    return standin.to(service)


def test_lists_of_nodes_show_those_too_that_are_part_of_another_one(service, ironic):
    assert [node.name for node in ironic.nodes()] == ["one", "two"]
    assert [node.name for node in ironic.states()] == ["one", "two"]
    whole, states = (params for _, params in service.requests)
    assert service.asked() == ["GET /nodes/detail", "GET /nodes"]
    assert whole["include_children"] == states["include_children"] == "true"
    assert states["fields"].split(",") == list(STATE_FIELDS)
    assert "fields" not in whole


def test_an_ironic_that_knows_no_parts_of_nodes_is_not_asked_for_them(service):
    for minor, said in ((83, "true"), (82, None)):
        standin.to(service, minor).nodes()
        assert service.requests[-1][1].get("include_children") == said


def test_ports_are_asked_for_by_mac_by_node_or_all(service, ironic):
    service.ports = [
        {"uuid": "p", "address": MAC, "node_uuid": "u"},
        {"uuid": "q", "address": OTHER_MAC, "node_uuid": "v"},
    ]
    assert [port.uuid for port in ironic.ports()] == ["p", "q"]
    assert [port.uuid for port in ironic.ports_of([OTHER_MAC, MAC])] == ["q", "p"]
    assert [port.uuid for port in ironic.ports_on(ironic.get("v"))] == ["q"]


def test_only_drivers_that_are_used_are_asked_what_they_know(service, ironic):
    service.drivers = {
        "ipmi": {"info": {"ipmi_address": "where"}, "enabled_boot_interfaces": ["pxe"]},
        "redfish": {"info": {"redfish_address": "where"}},
        "": {},
    }
    found = ironic.drivers(["ipmi", "gone"])
    assert set(found) == {"ipmi", "redfish"}
    assert found["ipmi"].info == {"ipmi_address"}
    assert found["ipmi"].interfaces == {"boot": ("pxe",)}
    assert found["redfish"].info == frozenset()
    assert service.asked() == ["GET /drivers", "GET /drivers/ipmi/properties"]
    assert service.requests[0][1] == {"detail": "true"}


def test_a_driver_that_cannot_say_what_it_knows_is_there_all_the_same(service, ironic):
    service.drivers = {"ipmi": {}}
    service.faults = [Fault("GET /drivers/ipmi/properties", 404)]
    assert ironic.drivers(["ipmi"])["ipmi"].info == frozenset()


@pytest.mark.parametrize(("status", "words"), [(403, "no"), (500, "it requires a scope of ['x']")])
def test_who_may_not_list_drivers_knows_none(service, ironic, status, words):
    service.faults = [Fault("GET /drivers", status, words)]
    assert ironic.drivers([]) is None


def test_a_listing_of_drivers_that_fails_is_told(service, ironic):
    service.faults = [Fault("GET /drivers", 400)]
    with pytest.raises(CloudError, match="listing drivers"):
        ironic.drivers([])


def test_a_node_is_found_by_name_and_by_uuid_or_not_at_all(ironic):
    assert ironic.find("one").uuid == ironic.find("u").uuid == "u"
    assert ironic.find("three") is None


def test_where_no_node_has_the_name_a_similar_one_is_suggested(ironic):
    with pytest.raises(CloudError, match="'ones'") as caught:
        ironic.get("ones")
    assert (caught.value.hint, caught.value.status) == ("did you mean 'one'?", 404)
    with pytest.raises(CloudError) as caught:
        ironic.get("xyzxyz")
    assert "bakery nodes list" in caught.value.hint


def test_a_name_is_one_part_of_a_path(service, ironic):
    assert ironic.find("a/b c") is None
    assert service.asked() == ["GET /nodes/a%2Fb%20c"]


def test_a_node_is_made_and_one_of_its_name_or_uuid_is_found(service, ironic):
    made, new = ironic.create_node({"name": "three", "driver": "ipmi"})
    assert (made.name, new) == ("three", True)
    found, new = ironic.create_node({"name": "one", "driver": "ipmi"})
    assert (found.uuid, new) == ("u", False)
    found, new = ironic.create_node({"uuid": "v", "driver": "ipmi"})
    assert (found.uuid, new) == ("v", False)
    assert len(service.nodes) == 3


def test_a_node_that_was_made_while_its_answer_was_lost_is_found(service, ironic):
    ironic.session.patience_seconds = 60
    ironic.session._stopped.wait = lambda _seconds: False
    service.faults = [Fault("POST /nodes", lost=True, times=1)]
    made, new = ironic.create_node({"name": "three", "driver": "ipmi"})
    assert (made.name, new, len(service.nodes)) == ("three", False, 3)


def test_traits_are_set_as_a_whole_and_fields_by_a_patch(service, ironic):
    ironic.set_traits("u", ("CUSTOM_A",))
    ironic.patch_node("u", [{"op": "add", "path": "/owner", "value": "me"}])
    assert (service.nodes["u"]["traits"], service.nodes["u"]["owner"]) == (["CUSTOM_A"], "me")


def test_a_port_is_made_or_is_its_nodes_already(service, ironic):
    ironic.create_port("u", MAC, {"pxe_enabled": True})
    assert service.ports == [
        {"uuid": "port-0", "address": MAC, "node_uuid": "u", "pxe_enabled": True}
    ]
    ironic.create_port("u", MAC, {})
    assert len(service.ports) == 1


@pytest.mark.parametrize(("owner", "label"), [("v", "'two'"), ("hidden", ": hidden$")])
def test_a_port_of_another_node_is_refused_by_that_nodes_name(service, ironic, owner, label):
    service.ports = [{"uuid": "p", "address": MAC, "node_uuid": owner}]
    with pytest.raises(CloudError, match=f"{MAC} is a port of another node of the cloud.*{label}"):
        ironic.create_port("u", MAC, {})


def test_a_port_is_patched_by_its_uuid(service, ironic):
    service.ports = [{"uuid": "p", "address": MAC, "node_uuid": "u"}]
    ironic.patch_port("p", [{"op": "add", "path": "/name", "value": "x"}])
    assert service.ports[0]["name"] == "x"


def test_a_config_drive_goes_with_the_start_alone(service, ironic):
    ironic.provision("u", "manage")
    ironic.provision("u", "active", "drive")
    assert service.told("PUT /nodes/u/states/provision") == [
        {"target": "manage"},
        {"target": "active", "configdrive": "drive"},
    ]


def test_faults_are_those_of_the_interfaces_that_matter(service, ironic):
    service.invalid["u"] = {
        "boot": {"result": False, "reason": "no\nkernel"},
        "deploy": {"result": True, "reason": "x"},
        "power": {"result": None, "reason": "x"},
        "rescue": {"result": False, "reason": "x"},
        "network": None,
    }
    assert ironic.faults("u", ("boot", "deploy", "power", "network", "raid")) == {
        "boot": "no kernel"
    }


def test_disks_are_those_that_the_inspection_found(service, ironic):
    disk = {"name": "/dev/sda", "size": 1}
    service.inventories = {"u": {"inventory": {"disks": [disk, None]}}, "v": {"inventory": None}}
    assert ironic.disks("u") == [disk]
    assert ironic.disks("v") is None
    service.inventories = {}
    assert ironic.disks("u") is None


def test_an_ironic_that_keeps_no_inventory_is_not_asked_for_one(service):
    service.inventories = {"u": {"inventory": {"disks": []}}}
    assert standin.to(service, 81).disks("u") == []
    asked = len(service.requests)
    assert standin.to(service, 80).disks("u") is None
    assert len(service.requests) == asked


def test_an_allocation_is_asked_for_found_and_given_back(service, ironic):
    assert ironic.allocation("web-1") is None
    ironic.allocate("web-1", "big", ("CUSTOM_A",), ["u", "v"])
    assert service.told("POST /allocations") == [
        {
            "name": "web-1",
            "resource_class": "big",
            "traits": ["CUSTOM_A"],
            "candidate_nodes": ["u", "v"],
        }
    ]
    assert ironic.allocation("web-1").name == "web-1"
    ironic.delete_allocation("web-1")
    assert service.allocations == {}
    ironic.delete_allocation("web-1")


def test_power_and_boot_device_are_told(service, ironic):
    ironic.power("u", "rebooting")
    ironic.set_boot_device("u", "pxe", persistent=False)
    assert service.told("PUT /nodes/u/states/power") == [{"target": "rebooting"}]
    assert service.told("PUT /nodes/u/management/boot_device") == [
        {"boot_device": "pxe", "persistent": False}
    ]


def test_what_a_node_can_boot_from_is_a_list_or_nothing(service, ironic):
    service.nodes["u"]["devices"] = ["pxe", "disk"]
    assert ironic.boot_devices("u") == ["pxe", "disk"]
    assert ironic.boot_devices("v") == []
