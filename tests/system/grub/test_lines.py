"""The lines of a menu as GRUB runs them: which one starts, and what it leads to."""

import pytest

from bakery.host.errors import BakeryError
from bakery.system.grub import Entry, Menu, Submenu
from tests.system.grub.worlds import run

THREE = "".join(f"menuentry {n} --id i{n} {{ linux /k n={n} $v; v=set }}\n" for n in "abc")


def started(text: str) -> str:
    """The title of the entry that starts, and its arguments."""
    first = run(text).first
    assert first is not None
    return " ".join([first.title, *(first.linux.args if first.linux else ("-",))])


def places(text: str) -> tuple[int, ...]:
    return run(text).chosen


@pytest.mark.parametrize(
    ("default", "expected"),
    [
        ("", "a n=a"),
        ("default=1", "b n=b"),
        ("default=ic", "c n=c"),
        ("set default=b; default=c", "c n=c"),
        ("saved=ib; default=$saved", "b n=b"),
        ("default=9", "a n=a"),
    ],
)
def test_the_default_starts(default: str, expected: str) -> None:
    assert started(f"{default}\n{THREE}") == expected


def test_each_entry_starts_from_the_menu_and_not_from_the_one_before() -> None:
    assert [e.linux.args for e in run(THREE).entries if e.linux] == [("n=a",), ("n=b",), ("n=c",)]


def test_a_fallback_starts_where_the_default_cannot_and_goes_on_from_there() -> None:
    bad = "menuentry bad { v=tried; linux /none }\n"
    assert started(f"fallback=1\n{bad}{THREE}") == "a n=a tried"
    assert started(f"fallback='0 2'\n{bad}{THREE}") == "b n=b tried"
    assert started(f"fallback=1\ndefault=3\n{bad}{THREE}") == "c n=c"
    assert started(f"fallback=ib\nblscfg\n{bad}{THREE}") == "b n=b tried"


def test_where_nothing_starts_the_default_says_why() -> None:
    menu = run("default=1\nmenuentry a { true }\nmenuentry b { linux /none }\n")
    assert menu.chosen == (1,)
    assert menu.first is not None
    assert menu.first.problem == "its kernel, '/none', is not there"


SUBMENU = f"menuentry x {{ linux /k x }}\nsubmenu s --id m {{\n{THREE}}}\n"


@pytest.mark.parametrize(
    ("default", "expected"),
    [
        ("1", (1, 0)),
        ("1>1", (1, 1)),
        ("m>ic", (1, 2)),
        ("s>b", (1, 1)),
        ("1>9", (1, 0)),
        ("0>1", (0,)),
        ("m>>1", (0,)),
    ],
)
def test_the_default_leads_into_submenus(default: str, expected: tuple[int, ...]) -> None:
    assert places(f"default='{default}'\n{SUBMENU}") == expected


def test_a_submenu_has_a_default_of_its_own() -> None:
    text = f"default=1\nsubmenu x {{ true; }}\nsubmenu s {{\ndefault=2\n{THREE}}}\n"
    assert places(text) == (1, 2)


def test_the_outer_default_counts_on_in_fedoras_submenus_alone() -> None:
    text = f"menuentry x {{ linux /k }}\ndefault=1\nsubmenu s {{\n{THREE}}}\n"
    assert places(text) == (1, 0)
    assert places("blscfg\n" + text) == (1, 1)


def test_a_submenu_that_starts_nothing_lets_a_fallback_start() -> None:
    text = "fallback=1\nsubmenu s { menuentry a { linux /none }; }\nmenuentry b { linux /k b }\n"
    assert places(text) == (1,)
    empty = "fallback=1\nsubmenu s { true; }\nmenuentry b { linux /k b }\n"
    assert places(empty) == (1,)


def test_an_entry_may_lead_to_another_configuration() -> None:
    other = f"default=1\n{THREE}".encode()
    menu = run(
        "v=not-exported\nmenuentry x { configfile $prefix/o.cfg }\n", {"/boot/grub/o.cfg": other}
    )
    (item,) = menu.items
    assert isinstance(item, Submenu)
    assert [i.title for i in item.items] == ["a", "b", "c"]
    assert menu.chosen == (0, 1)
    assert menu.first is not None
    assert menu.first.linux is not None
    assert menu.first.linux.args == ("n=b",)


def test_the_line_that_was_chosen_has_a_name_to_save() -> None:
    text = "submenu 'a>b' { menuentry c { linux /k \"$chosen\" $default }; }\ndefault='a>>b>c>d'\n"
    assert started(text) == "c a>>b>c d"


def test_menus_are_as_deep_as_the_bound_allows() -> None:
    def deep(count: int) -> Menu:
        return run("submenu s { " * count + "menuentry x { linux /k; }" + "; }" * count + "\n")

    assert len(deep(7).chosen) == 8
    with pytest.raises(BakeryError, match="nest deeper than 8"):
        deep(8)


UBUNTU = """function initrdfail { true; }
menuentry 'Ubuntu' --id u {
  if [ "${initrdfail}" = 1 ]; then
    linux /k root=PARTUUID=1 ro
    initrd /i
  else
    linux /k root=PARTUUID=1 ro panic=-1
  fi
  initrdfail
}
"""


def test_an_entry_without_an_initrd_tells_its_branch_with_one() -> None:
    first = run(UBUNTU).first
    assert first is not None
    assert first.linux is not None
    assert (first.linux.args[-1], first.initrds) == ("panic=-1", ())
    other = first.with_initrd
    assert other is not None
    assert other.linux is not None
    assert (other.id, other.linux.args) == ("u", ("root=PARTUUID=1", "ro"))
    assert [i.path for i in other.initrds] == ["/i"]


def test_a_saved_failure_takes_that_branch() -> None:
    first = run("initrdfail=1\n" + UBUNTU).first
    assert first is not None
    assert (len(first.initrds), first.with_initrd) == (1, None)


@pytest.mark.parametrize(
    "body",
    [
        "linux /k",
        "linux /k; if false; then initrd /none; fi",
        "if false; then linux /boot/k; initrd /i; else linux /k; fi",
    ],
)
def test_a_branch_of_another_kernel_or_without_an_initrd_is_none(body: str) -> None:
    first = run(f"menuentry x {{ {body} }}\n", ["/boot/k"]).first
    assert isinstance(first, Entry)
    assert first.linux is not None
    assert first.with_initrd is None


def test_the_branch_lies_where_elif_and_inner_ifs_lead() -> None:
    body = "if [ $n = 1 ]; then linux /k 1; elif [ $n = 2 ]; then if [ $m ]; then true; else "
    body += "linux /k 2; initrd /i; fi; else linux /k 3; fi"
    first = run(f"m=x\nmenuentry x {{ {body} }}\n").first
    assert first is not None
    assert first.with_initrd is not None
    assert first.with_initrd.linux is not None
    assert first.with_initrd.linux.args == ("2",)
