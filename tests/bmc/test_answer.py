import msgspec
import pytest

from bakery.bmc.answer import Answer, Failure


def test_a_failure_is_told_as_an_answer():
    failure = Failure("busy", "words", "a hint")
    assert failure.answer() == Answer(kind="busy", words="words", hint="a hint")
    assert str(failure) == "words"


@pytest.mark.parametrize(
    "answer",
    [Answer(), Answer(power="on"), Answer(serial="S", macs=("52:54:00:00:00:01",))],
)
def test_an_answer_travels_between_two_processes(answer):
    assert msgspec.json.decode(msgspec.json.encode(answer), type=Answer) == answer


def test_what_is_no_answer_is_refused():
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"kind": "bored"}', type=Answer)
