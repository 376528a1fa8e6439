"""Kernel arguments changed where a script writes them."""

import pytest

from bakery.host.errors import BakeryError
from bakery.system import kargs
from bakery.system.grub import edit
from bakery.system.grub.menu import File, Place
from tests.system.grub.worlds import run

CONFIG = File("hd0,gpt2", "/boot/grub/grub.cfg")


def add(arg: str) -> kargs.Change:
    return lambda args: kargs.append(args, arg)


def delete(arg: str) -> kargs.Change:
    return lambda args: kargs.delete(args, arg)


def test_arguments_are_changed_at_their_place_and_nowhere_else() -> None:
    text = b"# c\nmenuentry a {\n linux /k ro x\n}\nmenuentry b {\r\n\tlinux /k  ro 'y z'\r\n}\n"
    menu = run(text)
    second = menu.entries[1]
    assert second.linux is not None
    new = edit.change_args(text, second.linux.place, add("quiet"))
    assert new == text.replace(b"  ro 'y z'\r", b" ro 'y z' quiet\r")
    changed = run(new)
    assert [e.linux.args for e in changed.entries if e.linux] == [
        ("ro", "x"),
        ("ro", '"y z"', "quiet"),
    ]


def test_a_place_without_a_linux_line_is_refused() -> None:
    with pytest.raises(BakeryError, match="no 'linux' line at byte 7"):
        edit.change_args(b"linux /k a\n", Place(CONFIG, 7, 8), add("b"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("'root=1 ro'", '"root=1 ro quiet"'),
        ('"root=1 ro "', '"root=1 ro quiet"'),
        ("ro", '"ro quiet"'),
        ("", '"quiet"'),
    ],
)
def test_a_variable_is_changed_at_its_place(value: str, expected: str) -> None:
    text = f"set x=y\nset opts={value}\nmenuentry a {{ linux /k $opts }}\n".encode()
    place = Place(CONFIG, 17, 17 + len(value))
    new = edit.change_value(text, place, add("quiet"))
    assert new == text.replace(f"={value}\nmenu".encode(), f"={expected}\nmenu".encode())
    if value:
        first = run(text).first
        assert first is not None
        assert first.linux is not None
        assert first.linux.variables[0].place == place
    assert edit.change_value(text, place, lambda args: args) == text


@pytest.mark.parametrize("value", ['"$a ro"', "a'b", "a;b", "$a"])
def test_a_value_that_is_computed_is_left_alone(value: str) -> None:
    text = f"set opts={value}\n".encode()
    with pytest.raises(BakeryError, match="computes the kernel arguments"):
        edit.change_value(text, Place(CONFIG, 9, 9 + len(value)), add("quiet"))


def test_what_is_deleted_is_gone_and_what_stays_keeps_its_spelling() -> None:
    text = b'menuentry a { linux /k "$v" a\\ b x }\n'
    first = run(text).first
    assert first is not None
    assert first.linux is not None
    new = edit.change_args(text, first.linux.place, delete("x"))
    assert new == b'menuentry a { linux /k "$v" a\\ b }\n'
