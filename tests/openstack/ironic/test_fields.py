"""The version of the API that each field came with, by Ironic's own REST API version history."""

import pytest

from bakery.openstack.ironic import known
from bakery.openstack.ironic.fields import NODE, PORT, RESERVED_NAMES
from bakery.openstack.ironic.records import Port
from tests.openstack.ironic.test_known import against, node


@pytest.mark.parametrize(
    ("field", "since"),
    [
        *(("automated_clean", 47), ("conductor_group", 46), ("description", 51), ("name", 5)),
        *(("disable_power_off", 95), ("lessee", 65), ("network_data", 66), ("owner", 50)),
        *(("parent_node", 83), ("resource_class", 21), ("retired", 61), ("retired_reason", 61)),
        *(("shard", 82), ("bios_interface", 40), ("boot_interface", 31), ("deploy_interface", 31)),
        *(("firmware_interface", 86), ("network_interface", 20), ("rescue_interface", 38)),
        *(("storage_interface", 33), ("vendor_interface", 31), ("power_interface", 31)),
    ],
)
def test_a_field_needs_the_version_it_came_with(field, since):
    wanted = node(fields={field: "x"})
    assert against(known.versions, wanted, what=since) == []
    assert against(known.versions, wanted, what=since - 1) == [
        f"n: {field}: needs version 1.{since} of the API; the cloud speaks 1.{since - 1}"
    ]


@pytest.mark.parametrize(
    ("field", "since"),
    [
        *(("category", 101), ("description", 97), ("is_smartnic", 53), ("name", 88)),
        *(("local_link_connection", 19), ("physical_network", 34), ("portgroup_uuid", 24)),
        *(("pxe_enabled", 19), ("vendor", 100)),
    ],
)
def test_a_field_of_a_port_needs_the_version_it_came_with(field, since):
    wanted = node(ports=(Port("a"), Port("b", {field: "x"})))
    assert against(known.versions, wanted, what=since) == []
    assert against(known.versions, wanted, what=since - 1) == [
        f"n: ports[1].{field}: needs version 1.{since} of the API; the cloud speaks 1.{since - 1}"
    ]


def test_a_text_is_as_long_as_ironics_schema_has_it():
    longer = {key: field.limit for key, field in NODE.items() if field.limit != 255}
    assert longer == {"description": 4096, "parent_node": 36, "resource_class": 80}
    assert {key: field.limit for key, field in PORT.items() if field.limit != 255} == {
        "category": 80,
        "physical_network": 64,
        "vendor": 32,
    }


def test_what_is_below_a_node_in_the_api_is_no_nodes_name():
    assert {"ports", "states", "validate", "management"} <= RESERVED_NAMES
