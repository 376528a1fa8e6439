"""`menuentry` and `submenu` with their options."""

import pytest

from bakery.system.grub import Entry, Submenu
from tests.system.grub.worlds import run


def only(text: str) -> Entry:
    (item,) = run(text + "\n").items
    assert isinstance(item, Entry)
    return item


@pytest.mark.parametrize(
    ("head", "title", "identity"),
    [
        ("x", "x", "x"),
        ("'a b' --id y", "a b", "y"),
        ("--id=y --class os --class linux x", "x", "y"),
        ("x --unrestricted --hotkey=h --users a,b", "x", "x"),
        ("x --id ''", "x", ""),
        ("x $option y", "x", "x"),
        ("x --unknown", "x", "x"),
        ('"it\'s \\"so\\" \\$x"', 'it\'s "so" $x', 'it\'s "so" $x'),
        ("Système", "Système", "Système"),
    ],
)
def test_title_and_id(head: str, title: str, identity: str) -> None:
    item = only(f"menuentry {head} {{ linux /k }}")
    assert (item.title, item.id) == (title, identity)


def test_an_option_may_come_from_a_variable() -> None:
    assert only("o=--id\nmenuentry x $o y { linux /k }").id == "y"


def test_the_words_behind_the_title_are_the_bodys_parameters() -> None:
    item = only("menuentry x y 'a b' --class z { linux /k $1 $2 \"$3\" $# }")
    assert item.linux is not None
    assert item.linux.args == ("x", "y", '"a b"', "3")


def test_a_body_may_come_as_text() -> None:
    item = only("menuentry x --source='linux /k a'")
    assert item.linux is not None
    assert item.linux.args == ("a",)
    assert (
        run("menuentry x\nmenuentry x --source=a { linux /k }\nmenuentry { linux /k }\n").items
        == ()
    )


def test_a_submenu_holds_entries_of_its_own() -> None:
    text = """set here=seen
export shared
shared=too
submenu 'More' --id m {
  set inner=yes
  menuentry a { linux /k $here $shared $inner }
  submenu deeper { menuentry b { linux /k } }
}
"""
    (item,) = run(text).items
    assert isinstance(item, Submenu)
    assert (item.title, item.id) == ("More", "m")
    first, second = item.items
    assert isinstance(first, Entry)
    assert first.linux is not None
    assert first.linux.args == ("too", "yes")  # only what is exported goes in
    assert isinstance(second, Submenu)
    assert [i.title for i in second.items] == ["b"]


def test_in_fedoras_grub_every_variable_goes_in() -> None:
    text = "insmod blscfg\nblscfg\nhere=seen\nsubmenu x { menuentry a { linux /k $here } }\n"
    first = run(text).first
    assert first is not None
    assert first.linux is not None
    assert first.linux.args == ("seen",)


def test_entries_are_made_by_loops_and_functions() -> None:
    text = "function f { menuentry $1 { linux /k $1; }; }\nfor i in a b; do f $i$i; done\nf c\n"
    found = run(text)
    assert [item.title for item in found.items] == ["aa", "bb", "c"]
    assert [e.linux.args if e.linux else () for e in found.entries] == [("aa",), ("bb",), ("c",)]


def test_a_password_is_asked_for_where_there_are_superusers() -> None:
    entries = "menuentry a { linux /k }\nmenuentry b --unrestricted { linux /k }\n"
    assert [e.asks_password for e in run(entries).entries] == [False, False]
    locked = run('set superusers="root"\n' + entries).entries
    assert [e.asks_password for e in locked] == [True, False]
