"""A file's nodes against a cloud that cannot do all of it."""

from bakery.openstack.ironic import known
from bakery.openstack.ironic.problems import Problems
from bakery.openstack.ironic.records import Driver, Node, Port

DRIVERS = {
    "ipmi": Driver("ipmi", {"boot": ("pxe", "ipxe")}, frozenset({"ipmi_address", "ipmi_port"})),
}


def node(driver="ipmi", details=None, **more):
    fields = {"driver": driver, **more.pop("fields", {})}
    return Node(label="n", fields=fields, mappings={"driver_info": details or {}}, **more)


def against(check, *nodes, what):
    problems = Problems()
    check(problems, nodes, what)
    return [str(problem) for problem in problems.found]


def test_fields_that_always_were_there_need_nothing():
    wanted = node(fields={"chassis_uuid": "x", "uuid": "x"}, ports=(Port("a", {"extra": {}}),))
    assert against(known.versions, wanted, what=1) == []


def test_traits_need_the_version_that_can_set_them():
    assert against(known.versions, node(traits=()), what=37) == []
    assert len(against(known.versions, node(traits=()), what=36)) == 1
    assert against(known.versions, node(), what=36) == []


def test_a_driver_that_the_cloud_does_not_have_is_told_with_the_one_that_was_meant():
    assert against(known.drivers, node("ipni"), node("redfish"), what=DRIVERS) == [
        "n: driver: the cloud has no driver 'ipni'; did you mean 'ipmi'?",
        "n: driver: the cloud has no driver 'redfish'; choose from: ipmi",
    ]
    assert against(known.drivers, node(""), what=DRIVERS) == []  # the file's own problem


def test_an_interface_that_is_not_enabled_is_told_with_those_that_are():
    enabled = node(fields={"boot_interface": "ipxe"})
    other = node(fields={"raid_interface": "agent"})
    other_boot = node(fields={"boot_interface": "iso"})
    assert against(known.drivers, enabled, other, other_boot, what=DRIVERS) == [
        "n: raid_interface: 'agent' is not enabled for the driver ipmi; there are none",
        "n: boot_interface: 'iso' is not enabled for the driver ipmi; choose from: ipxe, pxe",
    ]


def test_a_detail_that_is_almost_a_known_one_is_a_slip_and_others_are_the_drivers_own():
    wanted = node(details={"ipmi_adress": "x", "ipmi_port": 1, "deploy_kernel": "k"})
    assert against(known.drivers, wanted, what=DRIVERS) == [
        "n: driver_info.ipmi_adress: the driver ipmi does not know it; did you mean 'ipmi_address'?"
    ]
