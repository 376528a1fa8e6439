import pytest

from bakery.openstack.connection import CloudError
from bakery.openstack.ironic import answers


@pytest.mark.parametrize("answer", [None, [], "text", 1])
def test_an_answer_that_is_no_object_is_an_error_and_no_empty_one(answer):
    with pytest.raises(CloudError, match="that bakery does not understand"):
        answers.mapping(answer)


def test_entries_are_the_objects_of_a_list():
    assert answers.entries({"nodes": [{"uuid": "a"}, "b", None]}, "nodes") == [{"uuid": "a"}]
    assert answers.entries({"nodes": None}, "nodes") == answers.entries({}, "nodes") == []


def test_a_node_without_a_name_is_called_by_its_uuid():
    found = answers.node({"uuid": "u", "name": None, "traits": ["HW_A", "CUSTOM_B"]})
    assert (found.name, found.label, found.traits) == ("", "u", ("HW_A", "CUSTOM_B"))
    assert answers.node({"uuid": "u", "name": "n", "traits": None}).label == "n"


def test_a_port_is_known_by_its_mac_and_its_node():
    found = answers.port({"uuid": "p", "address": "52:54:00:12:34:56", "node_uuid": "n", "x": 1})
    assert (found.uuid, found.address, found.node_uuid) == ("p", "52:54:00:12:34:56", "n")
    assert found.fields["x"] == 1


def test_an_allocation_tells_its_state_and_the_last_error_on_one_line():
    entry: dict[str, object] = {
        "name": "web-1",
        "state": "error",
        "node_uuid": None,
        "last_error": "no\nnode <b>",
    }
    found = answers.allocation(entry)
    assert (found.name, found.state, found.node_uuid) == ("web-1", "error", "")
    assert found.last_error == "no node"


def test_a_driver_has_the_interfaces_that_are_enabled_and_the_details_it_knows():
    entry = {"enabled_boot_interfaces": ["pxe", "ipxe"], "enabled_power_interfaces": None}
    found = answers.driver("ipmi", entry, {"ipmi_address": "where"})
    assert found.interfaces == {"boot": ("pxe", "ipxe")}
    assert found.info == {"ipmi_address"}
    assert answers.driver("ipmi", {}, None).info == frozenset()
