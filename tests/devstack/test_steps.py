import pytest

from bakery.devstack.steps import Answer, Command, Step
from bakery.devstack.verdicts import ended_well
from bakery.host.errors import BakeryError

GO = Command(("ssh", "a@{address}", "{address}"), "/a b", needs=("address",))


def test_what_was_learned_is_put_into_every_word():
    filled = GO.filled({"address": "10.0.0.1", "other": "x"})
    assert filled.line == "cd '/a b' && ssh a@10.0.0.1 10.0.0.1"
    assert filled.needs == ()
    assert Command(("a", "{b}")).filled({"b": "c"}).argv == ("a", "{b}")
    with pytest.raises(BakeryError, match="the address is not known yet") as refused:
        GO.filled({"other": "x"})
    assert refused.value.hint == "an earlier step provides it"


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (Answer(0, '{"a": 1}'), {"a": 1}),
        (Answer(1, '{"a": 1}'), None),
        (Answer(0, "no"), None),
        (Answer(0, ""), None),
        (Answer(0, "[" * 100_000), None),
    ],
)
def test_json_counts_where_the_command_ended_well(answer, value):
    assert answer.value == value


def step(**fields):
    return Step(name="one", title="a step", judge=ended_well, **fields)


def test_a_step_is_shown_in_full():
    look, act, undo = (Command((name,)) for name in ("look", "act", "undo"))
    assert step(look=(look,), act=(act,), undo=(undo,), wait_seconds=90).shown() == [
        "one: a step",
        "  look: look",
        "  act:  act",
        "  if it was interrupted: undo",
        "  then look again for up to 90 s",
    ]
    assert step(look=(look,), act=(act,)).shown() == ["one: a step", "  look: look", "  act:  act"]
    assert step(look=(look,), skip="no need").shown() == ["one: a step", "  left out: no need"]


def test_another_command_makes_another_step():
    look, act = Command(("look",)), Command(("act",))
    known = {
        step(look=(look,), act=(act,)).digest,
        step(look=(look,), act=(look,)).digest,
        step(look=(look,)).digest,
        step(look=(look,), act=(act,), undo=(look,)).digest,
        step(look=(Command(("look",), "/tmp"),), act=(act,)).digest,
    }
    assert len(known) == 5
    assert step(look=(look,), wait_seconds=3).digest == step(look=(look,)).digest
