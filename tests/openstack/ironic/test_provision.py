import pytest

from bakery.host.report import Event, Step
from bakery.openstack.connection import CloudError
from bakery.openstack.ironic import provision
from bakery.openstack.ironic.provision import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    Goals,
    Reached,
    next_step,
)
from bakery.openstack.ironic.records import NodeThere
from tests.openstack.ironic import standin
from tests.openstack.ironic.standin import Fault, Service

MANAGE, INSPECT, PROVIDE = Goals(manage=True), Goals(inspect=True), Goals(provide=True)
ALL = Goals(manage=True, inspect=True, provide=True)


@pytest.mark.parametrize(
    ("state", "goals", "asked", "step"),
    [
        ("enroll", MANAGE, (), "manage"),
        ("enroll", PROVIDE, (), "manage"),
        ("verifying", MANAGE, (), "wait"),
        ("enroll", MANAGE, ("manage",), "failed"),
        ("manageable", MANAGE, ("manage",), "done"),
        ("manageable", INSPECT, ("manage",), "inspect"),
        ("inspect wait", ALL, ("inspect",), "wait"),
        ("manageable", INSPECT, ("manage", "inspect"), "failed"),
        ("manageable", ALL, ("manage", "inspect"), "failed"),
        ("inspect failed", ALL, ("manage", "inspect"), "failed"),
        ("inspect failed", ALL, ("inspect",), "failed"),
        ("clean failed", ALL, ("provide",), "failed"),
        ("clean failed", PROVIDE, (), "manage"),
        ("manageable", PROVIDE, ("provide",), "failed"),
        ("inspect failed", ALL, (), "manage"),
        ("clean failed", PROVIDE, ("manage",), "failed"),
        ("available", ALL, (), "done"),
        ("active", ALL, (), "done"),
    ],
)
def test_the_next_step_follows_from_the_state(state, goals, asked, step):
    node = NodeThere(uuid="u", fields={"provision_state": state})
    assert next_step(node, goals, asked) == step


def test_what_was_inspected_once_is_not_inspected_again():
    fields = {"provision_state": "manageable", "inspection_finished_at": "2026-01-01T00:00:00"}
    there = NodeThere(uuid="u", fields=fields)
    assert next_step(there, ALL, ()) == "provide"
    assert next_step(there, ALL, ("manage", "inspect")) == "provide"
    assert next_step(there, INSPECT, ("inspect",)) == "done"


@pytest.fixture
def service(monkeypatch):
    return standin.timed(Service(), monkeypatch)


def driven(service, goals, *, uuids=None, timeout=1000.0, sink=lambda _event: None):
    step = Step("provision", sink, 0)
    there = list(service.nodes) if uuids is None else uuids
    return provision.Drive(standin.to(service), there, goals, 4).run(step, timeout)


@pytest.mark.parametrize(
    ("goals", "state", "verbs"),
    [
        (MANAGE, "manageable", ("manage",)),
        (PROVIDE, "available", ("manage", "provide")),
        (Goals(), "enroll", ()),
    ],
)
def test_a_node_is_brought_as_far_as_it_shall_go(service, goals, state, verbs):
    service.node("u", provision_state="enroll" if goals.any else "available")
    expected = state if goals.any else "available"
    assert driven(service, goals) == {"u": Reached(expected, verbs=verbs)}
    assert [body["target"] for body in service.told("PUT .*")] == list(verbs)


def test_goals_are_any_where_one_of_them_is():
    assert [goal.any for goal in (MANAGE, INSPECT, PROVIDE, ALL, Goals())] == [True] * 4 + [False]


def test_an_inspection_ends_where_ironic_says_when_it_did(service):
    service.node("u", provision_state="manageable")
    (reached,) = driven(service, INSPECT).values()
    assert reached == Reached(
        "manageable", "inspect led back to manageable: Ironic gives no reason", ("inspect",)
    )


def test_only_the_nodes_that_are_asked_for_are_driven(service):
    service.node("u", provision_state="enroll")
    service.node("v", provision_state="enroll")
    events: list[Event] = []
    assert list(driven(service, MANAGE, uuids=["v"], sink=events.append)) == ["v"]
    assert service.nodes["u"]["provision_state"] == "enroll"
    assert {event.text for event in events} == {"0 of 1 nodes", "1 of 1 nodes"}


def test_what_fails_is_told_with_ironics_reason_and_the_rest_goes_on(service):
    service.ways["inspect"] = ("inspecting", "inspect failed")
    service.node("u", provision_state="manageable", last_error="no such BMC")
    service.node("v", provision_state="manageable", inspection_finished_at="2026")
    reached = driven(service, INSPECT)
    assert reached["u"] == Reached(
        "inspect failed", "inspect led to inspect failed: no such BMC", ("inspect",)
    )
    assert reached["v"] == Reached("manageable")


def test_what_ironic_refuses_is_told_in_its_words(service):
    service.node("u", provision_state="enroll", last_error="older")
    service.faults = [Fault("PUT .*", 400, "not like this")]
    (reached,) = driven(service, MANAGE).values()
    assert reached.state == "enroll"
    assert reached.error.startswith("manage led back to enroll: ")
    assert "not like this" in reached.error
    assert "older" not in reached.error


def test_what_was_taken_although_the_answer_was_lost_goes_on(service):
    service.node("u", provision_state="enroll")
    service.faults = [Fault("PUT .*", lost=True)]
    assert driven(service, MANAGE) == {"u": Reached("manageable", verbs=("manage",))}


def test_a_defect_is_no_refusal(service):
    service.node("u", provision_state="enroll")
    service.ways = {}
    with pytest.raises(CloudError):
        standin.to(service).provision("gone", "manage")
    drive = provision.Drive(standin.to(service), ["u"], MANAGE, 1)
    drive.ironic.provision = None  # type: ignore[assignment,method-assign]
    with pytest.raises(TypeError):
        drive.run(Step("provision", print, 0), 10)


def test_a_node_that_is_gone_is_told(service):
    service.node("u", provision_state="enroll")
    assert driven(service, MANAGE, uuids=["u", "gone"]) == {
        "u": Reached("manageable", verbs=("manage",)),
        "gone": Reached("", "the node is gone"),
    }


def test_when_time_is_up_each_is_told_where_it_is(service):
    service.ways["manage"] = ("verifying",)
    service.node("u", provision_state="enroll")
    service.node("v", provision_state="available")
    reached = driven(service, MANAGE, timeout=60)
    assert reached["u"] == Reached("verifying", "still verifying when time was up", ("manage",))
    assert reached["v"] == Reached("available")
    assert 60 <= sum(service.slept) <= 60 + LONGEST_PAUSE_SECONDS


def test_pauses_grow_while_nothing_moves_and_are_short_again_after(service):
    service.ways["manage"] = (*["verifying"] * 9, "manageable")
    service.node("u", provision_state="enroll")
    driven(service, PROVIDE)
    first, *waits = service.slept
    assert (first, waits[0]) == (FIRST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 1.5)
    assert waits[1] == pytest.approx(FIRST_PAUSE_SECONDS * 1.5**2)
    assert max(waits) == LONGEST_PAUSE_SECONDS
    again = waits.index(FIRST_PAUSE_SECONDS)
    assert waits[again - 1] == LONGEST_PAUSE_SECONDS
    assert service.nodes["u"]["provision_state"] == "available"


def test_nobody_waits_for_nodes_that_are_there(service):
    service.node("u")
    assert driven(service, ALL) == {"u": Reached("available")}
    assert service.slept == []


def test_who_has_no_time_looks_once(service):
    service.node("u", provision_state="verifying")
    assert driven(service, MANAGE, timeout=0)["u"].error == "still verifying when time was up"
    assert service.slept == []
