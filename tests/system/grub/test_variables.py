"""GRUB's variables and their contexts."""

import pytest

from bakery.host.errors import BakeryError
from bakery.system.grub import variables
from bakery.system.grub.menu import File, Place, Variable
from bakery.system.grub.variables import Value, Variables, merged

PLACE = Place(File("hd0", "/g"), 1, 2)


def test_root_goes_without_brackets_and_is_never_gone() -> None:
    known = Variables({})
    known.put("root", "(hd0,gpt1)")
    assert known.get("root") == "hd0,gpt1"
    known.unset("root")
    assert known.get("root") == ""
    known.put("other", "(hd0)")
    assert known.get("other") == "(hd0)"
    known.unset("other")
    assert known.get("other") is None


def test_a_context_begins_with_what_is_exported() -> None:
    known = Variables({"a": Value("1"), "b": Value("2")})
    known.export("a")
    known.export("new")
    inner = known.inner(everything=False)
    assert {name: inner.get(name) for name in ("a", "b", "new")} == {"a": "1", "b": None, "new": ""}
    assert set(known.inner(everything=True).inner(everything=False).values) == {"a", "b", "new"}
    known.unset("a")
    known.put("a", "3")
    assert known.inner(everything=False).get("a") is None
    inner.put("a", "9")
    assert known.get("a") == "3"


def test_a_variable_names_what_fed_it() -> None:
    fed = (Variable("x", "1", PLACE),)
    known = Variables({"a": Value("1 é".encode().decode("latin-1"), PLACE, fed)})
    assert known.named("a") == (Variable("a", "1 é", PLACE), *fed)
    assert known.named("none") == ()
    assert merged([fed, fed]) == fed


def test_variables_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variables, "ROOM_CHARACTERS", 10)
    known = Variables({})
    known.put("a", "x" * 10)
    known.put("a", "y" * 10)
    known.unset("a")
    known.put("b", "x" * 10)
    with pytest.raises(BakeryError, match="out of all proportion"):
        known.put("c", "x")
    many = [(Variable(str(n), "", PLACE),) for n in range(variables.FEEDING_LIMIT + 1)]
    with pytest.raises(BakeryError, match="more than 64 variables"):
        merged(many)
