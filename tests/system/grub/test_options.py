"""The options of GRUB's commands."""

import pytest

from bakery.system.grub import options, status
from bakery.system.grub.options import Option
from bakery.system.grub.status import Failed
from bakery.system.grub.variables import Argument

KNOWN = (
    Option("file", "f"),
    Option("set", "s", optional=True),
    Option("quiet", "q", takes_value=False),
    Option("hint"),
)


def parsed(text: str, *, dash: bool = False) -> options.Options:
    return options.parse(KNOWN, [Argument(word) for word in text.split()], dash=dash)


def rest(given: options.Options) -> list[str]:
    return [arg.text for arg in given.rest]


def test_options_stand_among_the_arguments() -> None:
    given = parsed("a --file=x b -q --hint y --hint=z c --set")
    assert rest(given) == ["a", "b", "c"]
    assert given.last("file") == "x"
    assert given.all("hint") == ("y", "z")
    assert (given.has("quiet"), given.last("quiet")) == (True, None)
    assert (given.has("set"), given.last("set")) == (True, None)
    assert not given.has("none")


def test_letters_stand_together_and_the_last_has_the_value() -> None:
    assert parsed("-qf x").last("file") == "x"
    assert parsed("-s x").last("set") == "x"
    assert parsed("-s -q").last("set") is None
    with pytest.raises(Failed):
        parsed("-fq x")


def test_a_value_does_not_begin_with_a_dash_behind_a_long_name() -> None:
    assert parsed("--set -q").last("set") is None
    with pytest.raises(Failed) as failed:
        parsed("--file -q")
    assert failed.value.status == status.BAD_ARGUMENT


def test_behind_two_dashes_all_are_arguments() -> None:
    assert rest(parsed("a -- -q --file")) == ["a", "-q", "--file"]
    assert rest(parsed("-")) == ["-"]


def test_unknown_options_are_errors_or_arguments() -> None:
    for text in ("--none", "-x"):
        with pytest.raises(Failed) as failed:
            parsed(text)
        assert failed.value.status == status.BAD_ARGUMENT
    assert rest(parsed("--none -x -xq", dash=True)) == ["--none", "-x", "-xq"]


def test_help_ends_the_command_without_an_error() -> None:
    for text in ("--help", "-h", "-u", "--usage"):
        with pytest.raises(Failed) as failed:
            parsed(text)
        assert failed.value.status == status.NONE
