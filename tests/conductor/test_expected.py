"""Which machine a node is expected to be, and what tells that it is another."""

import pytest

from bakery.conductor.expected import ANY_MACHINE, Expected
from bakery.conductor.journal import Machine

A, B, C = "52:54:00:00:00:01", "52:54:00:00:00:02", "52:54:00:00:00:03"


@pytest.mark.parametrize(
    ("expected", "machine"),
    [
        (ANY_MACHINE, Machine((C,), "S2")),
        (Expected(frozenset({A, B}), "S1"), Machine((A, B, C), "S1")),
        (Expected(frozenset({A}), "S1"), Machine()),  # a ramdisk that does not tell
        (Expected(frozenset({A}), "S1"), Machine((A,))),
        (Expected(frozenset({A}), "S1"), Machine((A,), "To Be Filled By O.E.M.")),
    ],
)
def test_a_machine_may_be_the_one(expected, machine):
    assert expected.refusal(machine) == ""


def test_a_machine_that_lacks_one_of_the_cards_is_another():
    reason = Expected(frozenset({A, B})).refusal(Machine((A, C)))
    assert f"no network card {B}" in reason and f"it has {A}, {C}" in reason


def test_a_machine_with_another_number_is_another_and_nothing_in_it_moves_a_cursor():
    reason = Expected(frozenset(), "S1").refusal(Machine((A,), "S\x1b[31m2"))
    assert "S\\x1b[31m2, not S1" in reason and reason.isprintable()


def test_a_card_of_another_node_tells_whose_machine_it_is():
    expected = Expected(frozenset({A}), others={B: "r1-02"})
    assert expected.others_card((C, B)) == f"the machine has the card {B} of r1-02"
    assert expected.others_card((A, C)) == ""


def test_of_many_cards_not_all_are_listed():
    macs = tuple(f"52:54:00:00:01:{n:02x}" for n in range(64))
    assert len(Expected(frozenset({A})).refusal(Machine(macs))) < 400
