import pytest

from bakery.cloud.provision import Goals, next_step
from bakery.fleet.records import NodeThere

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
