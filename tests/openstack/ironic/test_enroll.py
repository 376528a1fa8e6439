"""Nodes of a file made in an Ironic, and what a second run finds to do."""

import pytest

from bakery.host.report import Event, Step
from bakery.openstack.ironic import enroll, nodes_file
from tests.openstack.ironic import standin
from tests.openstack.ironic.standin import Fault, Service

MACS = [f"52:54:00:12:34:{number:02x}" for number in range(9)]
DRIVERS = {"ipmi": {"info": {"ipmi_address": "", "ipmi_password": ""}}}


@pytest.fixture
def service():
    return Service(drivers=dict(DRIVERS))


@pytest.fixture
def ironic(service):
    return standin.to(service)


def entry(name, **more):
    return {"name": name, "driver": "ipmi", **more}


def prepared(ironic, *entries, secrets=False):
    fleet = nodes_file.parse({"nodes": list(entries)})
    works, checked = enroll.prepared(ironic, fleet, secrets=secrets)
    return works, checked, " / ".join(map(str, fleet.problems.found))


def applied(ironic, *entries, concurrency=1, sink=lambda _event: None):
    works, _, wrong = prepared(ironic, *entries)
    assert not wrong
    return enroll.apply(ironic, works, concurrency, Step("enroll", sink, 0))


def test_a_node_is_made_with_its_traits_and_ports_and_then_left_alone(service, ironic):
    node = entry("one", traits=["CUSTOM_A"], ports=[{"address": MACS[0]}, {"address": MACS[1]}])
    (done,) = applied(ironic, node)
    assert (done.name, done.action, done.error) == ("one", "created", "")
    assert service.nodes[done.uuid]["traits"] == ["CUSTOM_A"]
    assert {(port["address"], port["node_uuid"]) for port in service.ports} == {
        (MACS[0], done.uuid),
        (MACS[1], done.uuid),
    }
    service.requests.clear()
    (again,) = applied(ironic, node)
    assert (again.action, again.uuid, again.changes) == ("unchanged", done.uuid, ())
    assert service.asked("P") == []


def test_what_differs_is_changed_alone(service, ironic):
    applied(ironic, entry("one", ports=[{"address": MACS[0]}]))
    service.requests.clear()
    port = {"address": MACS[0], "pxe_enabled": True}
    (done,) = applied(ironic, entry("one", description="x", traits=["CUSTOM_B"], ports=[port]))
    assert done.action == "updated"
    assert {change.field for change in done.changes} == {"description", "traits", "ports"}
    assert service.asked("P") == [
        f"PATCH /nodes/{done.uuid}",
        f"PUT /nodes/{done.uuid}/traits",
        "PATCH /ports/port-0",
    ]
    assert service.ports[0]["pxe_enabled"] is True


def test_results_are_in_the_order_of_the_file_and_each_is_told(service, ironic):
    applied(ironic, entry("b"))
    events: list[Event] = []
    done = applied(ironic, entry("a"), entry("b"), entry("c"), concurrency=4, sink=events.append)
    assert [(one.name, one.action) for one in done] == [
        *(("a", "created"), ("b", "unchanged"), ("c", "created")),
    ]
    assert [event.text for event in events] == ["1 of 2 nodes", "2 of 2 nodes"]


def test_a_node_is_there_before_what_is_part_of_it(service, ironic):
    child, parent = entry("card", parent_node="host"), entry("host")
    done = applied(ironic, child, parent)
    assert [one.action for one in done] == ["created", "created"]
    assert [node["name"] for node in service.nodes.values()] == ["host", "card"]


def test_a_node_that_fails_keeps_no_other_from_being_made(service, ironic):
    service.faults = [Fault("POST /nodes", 400, "bad", times=1)]
    first, second = applied(ironic, entry("a"), entry("b"))
    assert (first.action, first.name, first.uuid) == ("failed", "a", "")
    assert "bad" in first.error
    assert (second.action, second.error) == ("created", "")


def test_a_node_that_fails_after_it_was_made_is_told_with_its_uuid(service, ironic):
    service.faults = [Fault("POST /ports", 400, "bad")]
    (done,) = applied(ironic, entry("a", ports=[{"address": MACS[0]}]))
    assert (done.action, done.uuid) == ("failed", "uuid-0")


def test_a_nameless_node_is_called_by_its_uuid(service, ironic):
    node = {"driver": "ipmi", "ports": [{"address": MACS[0]}]}
    (done,) = applied(ironic, node)
    assert done.name == done.uuid == next(iter(service.nodes))
    (again,) = applied(ironic, node)
    assert again.action == "unchanged"


def test_a_node_that_another_run_made_meanwhile_is_brought_to_what_the_file_says(service, ironic):
    works, _, _ = prepared(ironic, entry("one", description="x", ports=[{"address": MACS[0]}]))
    service.node("u", name="one", driver="ipmi")
    service.ports = [{"uuid": "p", "address": MACS[0], "node_uuid": "u"}]
    (done,) = enroll.apply(ironic, works, 1, Step("enroll", print, 0))
    assert (done.uuid, done.action) == ("u", "updated")
    assert service.nodes["u"]["description"] == "x"
    assert service.asked("POST /ports") == []


@pytest.mark.parametrize(("secret", "shown"), [("abc", "***"), ("ab", "ab")])
def test_a_secret_that_the_cloud_repeats_is_not_shown(service, ironic, secret, shown):
    service.faults = [Fault("POST /nodes", 400, f"what is {secret}, of 10.0.0.1")]
    details = {"ipmi_address": "10.0.0.1", "ipmi_password": secret}
    (done,) = applied(ironic, entry("a", driver_info=details))
    assert f"what is {shown}, of 10.0.0.1" in done.error


def test_passwords_are_sent_again_on_demand_alone(service, ironic):
    details = {"ipmi_address": "10.0.0.1", "ipmi_password": "abc"}
    service.node("u", name="one", driver="ipmi", driver_info=details | {"ipmi_password": "******"})
    (work,), _, _ = prepared(ironic, entry("one", driver_info=details))
    assert work.action == "none"
    (work,), _, _ = prepared(ironic, entry("one", driver_info=details), secrets=True)
    assert [change.field for change in work.changes] == ["driver_info.ipmi_password"]


def test_what_the_cloud_would_refuse_is_said_and_there_is_nothing_to_do(service, ironic):
    works, checked, wrong = prepared(ironic, entry("one", driver_info={"ipmi_adress": "x"}))
    assert (works, checked) == ([], True)
    assert "did you mean 'ipmi_address'?" in wrong
    service.node("u", name="two", driver="ipmi")
    service.ports = [{"uuid": "p", "address": MACS[0], "node_uuid": "u"}]
    works, _, wrong = prepared(ironic, entry("one", ports=[{"address": MACS[0]}]))
    assert works == []
    assert "another node of the cloud: 'two'" in wrong


def test_a_field_that_is_too_new_for_the_cloud_is_said(service):
    works, _, wrong = prepared(standin.to(service, 50), entry("one", retired=True))
    assert works == []
    assert "needs version 1.61 of the API; the cloud speaks 1.50" in wrong


def test_where_drivers_may_not_be_listed_they_are_not_checked(service, ironic):
    service.faults = [Fault("GET /drivers", 403)]
    works, checked, wrong = prepared(ironic, {"name": "one", "driver": "unknown"})
    assert (len(works), checked, wrong) == (1, False, "")
    service.faults = [Fault("GET /drivers", 403)]
    works, checked, wrong = prepared(ironic, entry("one"), entry("one"))
    assert (works, checked) == ([], False)
