import pytest

from bakery.devstack import shell
from bakery.devstack.metaconf import Line
from bakery.devstack.shell import Call, Value


def read(text):
    return shell.read([Line(n, line) for n, line in enumerate(text.split("\n"), 1)])


@pytest.mark.parametrize(
    ("text", "value", "known"),
    [
        ("A=", "", True),
        ("export A=b", "b", True),
        ("A=b=c", "b=c", True),
        ("A='$B'", "$B", True),
        ("""A='$B'"$HOME" """, "$B$HOME", False),
        ("B=x\nA=$B$B", "xx", True),
        ("A=${B:-z}y", "zy", True),
        ("B=\nA=${B:-z}", "z", True),
        ("B=x\nA=${B:-z}", "x", True),
        ("A=$B", "$B", False),
        ("A=`id`", "`id`", False),
        ("A=$(id)", "$(id)", False),
        ("B=$C\nA=$B", "$C", False),
        ("A=1\nA+=2", "12", True),
        ("A+=2", "2", True),
        ("A=$B\nA+=2", "$B2", False),
        ("A=1\nA+=$B", "1$B", False),
        ("A=1\nA=2", "2", True),
    ],
)
def test_a_setting_and_whether_it_is_known(text, value, known):
    found = read(text).values["A"]
    assert (found.text, found.is_known) == (value, known)
    assert found.line == len(text.split("\n"))
    assert read(text).text("A", "?") == (value if known else "?")


def test_lines_are_joined_at_a_backslash_and_numbered_by_the_first():
    found = read("\nA=b\\\nc\\\nd\nB=1\nC=x\\")
    assert found.values["A"] == Value(2, "bcd", True)
    assert found.values["B"] == Value(5, "1", True)
    assert found.values["C"] == Value(6, "x", True)
    assert (found.line("C"), found.line("D")) == (6, 0)


def test_calls_have_their_words_put_in():
    found = read(
        "U=url\nenable_plugin ironic $U\nenable_plugin other $U\nA b\nenable_plugin ironic"
    )
    assert found.calls == (
        Call(2, "enable_plugin", ("ironic", "url")),
        Call(3, "enable_plugin", ("other", "url")),
        Call(5, "enable_plugin", ("ironic",)),
    )
    assert [call.line for call in found.plugins("ironic")] == [2, 5]
    assert read("disable_service ironic").plugins("ironic") == []


@pytest.mark.parametrize("line", ["A = 1", "A =1", "A= 1", "export A = 1", "  A = 1"])
def test_a_blank_beside_the_sign_is_told(line):
    found = read(line)
    assert (found.spaced, found.values) == ((Line(1, line),), {})


@pytest.mark.parametrize(
    "line", ["enable_service a = b", "A=1", "A=", "A= ", "echo a = b", "A=1 b"]
)
def test_what_is_no_assignment_with_a_blank(line):
    assert read(line).spaced == ()


def test_a_line_of_two_words_is_a_program():
    assert read("A=1 b\nexport A=1 B=2\n'A'=1 x").values == {}


@pytest.mark.parametrize(
    ("text", "enabled"),
    [
        ("enable_service a", True),
        ("enable_service b,a", True),
        ("disable_service a", False),
        ("enable_service b", None),
        ("disable_all_services", False),
        ("enable_service a\ndisable_service b", True),
        ("disable_service a\nenable_service a\nenable_plugin a x", True),
        ("enable_plugin a x", None),
    ],
)
def test_whether_a_service_is_on(text, enabled):
    assert read(text).enabled("a") is enabled
