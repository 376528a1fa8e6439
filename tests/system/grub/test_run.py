"""GRUB's scripts, run: branches, loops, functions, files; and that they end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.system import grub
from tests.system.grub.worlds import Disks, run


def args(script: str, entry: str = "linux /k a=$a b=$b", **files: str) -> tuple[str, ...]:
    """The arguments of the entry that starts when this script has run before it."""
    named = {f"/boot/grub/{name}.cfg": text.encode() for name, text in files.items()}
    first = run(f"{script}\nmenuentry x {{ {entry} }}\n", named).first
    assert first is not None
    assert first.linux is not None, first.problem
    return first.linux.args


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("set a=1; b=2", ("a=1", "b=2")),
        ("if true; then a=1; else b=2; fi", ("a=1", "b=")),
        ("if false; then a=1; elif [ x = x ]; then b=2; else b=3; fi", ("a=", "b=2")),
        ("if true; false; then a=1; fi", ("a=", "b=")),
        ("if ! false; then a=1; fi", ("a=1", "b=")),
        ("if none_such; then a=1; fi", ("a=1", "b=")),
        ("for i in 1 2 3; do a=$a$i; done; b=$i", ("a=123", "b=3")),
        ("for i in 1 2 3; do if [ $i = 2 ]; then break; fi; a=$a$i; done", ("a=1", "b=")),
        ("for i in 1 2 3; do if [ $i = 2 ]; then continue; fi; a=$a$i; done", ("a=13", "b=")),
        ("for i in 1 2; do for j in 1 2; do break 2; done; a=x; done", ("a=", "b=")),
        ("for i in 1 2; do for j in 1 2; do continue 2; done; a=x; done; b=$i", ("a=", "b=2")),
        ("while [ x$a != xxxx ]; do a=x$a; done", ("a=xxx", "b=")),
        ("until [ x$a = xxxx ]; do a=x$a; done", ("a=xxx", "b=")),
        ("while true; do break; done; a=1", ("a=1", "b=")),
        ("break; a=1", ("a=1", "b=")),
        ("function f { a=$1; b=$#; }\nf x y", ("a=x", "b=2")),
        ("function f { return 1; a=1; }\nif f; then b=1; else b=2; fi", ("a=", "b=2")),
        ("function f { false; return; }\nif f; then b=1; else b=2; fi", ("a=", "b=2")),
        ("function f { shift; a=$1; }\nf x y", ("a=y", "b=")),
        ("function f { setparams p q; a=$2; }\nf x y\nb=$1", ("a=q", "b=")),
        ("function f { a=1; }\nfunction f { a=2; }\nf", ("a=2", "b=")),
        ("return; a=1", ("a=1", "b=")),
        ("false; a=$?; b=$?", ("a=1", "b=0")),
        ("eval 'a=1; b=2'", ("a=1", "b=2")),
        ("set a=1\nunset a\nb=x$a", ("a=", "b=x")),
        ("a=1; }; b=2\nb=3", ("a=", "b=3")),
        ("set 1=x; a=1", ("a=1", "b=")),
        ("$none\na=1", ("a=1", "b=")),
        ("set a", ("a=", "b=")),
        ("a=x; increment a\nb=-5; increment b", ("a=x", "b=-4")),
        ("a=1; decrement a; decrement a; decrement none", ("a=-1", "b=")),
        ("regexp --set=a --set=2:b '(.),(.)' x,y", ("a=x", "b=y")),
        ("if regexp '^z' x; then a=1; else a=2; fi", ("a=2", "b=")),
        ("a=1; regexp --set=a '(q)?x' x", ("a=", "b=")),
        ("for i in /*; do a=$i; done", ("a=/*", "b=")),
        ("insmod regexp\nfor i in /b*; do a=$i; done", ("a=/boot", "b=")),
        ("if cpuid -l; then a=1; fi; if keystatus --shift; then b=1; fi", ("a=1", "b=")),
        ("root=(hd7,msdos1); a=$root; root=hd0,gpt2", ("a=hd7,msdos1", "b=")),
    ],
)
def test_a_script_does_what_it_does_in_grub(script: str, expected: tuple[str, ...]) -> None:
    assert args(script) == expected


def test_files_are_sourced_in_the_same_context() -> None:
    assert args("source $prefix/x.cfg; b=$a", x="set a=1\n") == ("a=1", "b=1")
    assert args(". /boot/grub/x.cfg", x="a=$config_file\nb=$config_directory\n") == (
        "a=(hd0,gpt2)/boot/grub/x.cfg",
        "b=(hd0,gpt2)/boot/grub",
    )
    assert args("source /none.cfg; a=$?; source") == ("a=0", "b=")


def test_a_return_in_a_sourced_file_leaves_the_function_that_sourced_it() -> None:
    script = "function f { source $prefix/x.cfg; b=1; }\nf"
    assert args(script, x="a=1\nreturn\na=2\n") == ("a=2", "b=")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("while true; do true; done", "may never end"),
        ("until false; do true; done", "may never end"),
        ("function f { f; }\nf", "deeper than"),
        ("source $prefix/grub.cfg", "deeper than"),
        ("while true; do n=x$n; done", "more than 4194304 characters"),
        ("while true; do regexp '(a*)*b' aaaaaaaaaaaaaaaaaaaaaa; done", "too many steps"),
        ("insmod regexp\nwhile true; do true /b*; done", "more than 1000 times"),
        ("a=xxxxxxxxxxxxxxxx\n" + "a=$a$a\n" * 20, "grow into a text of over"),
        ("for i in 1 2 3 4 5 6 7 8 9; do menuentry x { true; }; done\n" * 120, "menu entries"),
        ("probe --set=a -u $root", "probe"),
        ("a=1; " * 30_000, "more than 50000 words"),
        ("#" * (300 << 10) + "\n", "more than 262144"),
        ("if test /a -nt /b; then true; fi", "compares the ages"),
        ("insmod regexp\nfor i in (*); do true; done", "all devices"),
        ("for i in 1 2 3 4 5 6 7 8 9; do eval set v$i$v1=x; done\n" + "a=$a\n", "none"),
    ],
)
def test_a_script_ends_or_is_refused(script: str, reason: str) -> None:
    if reason == "none":
        assert args(script)
        return
    with pytest.raises(BakeryError, match=reason):
        run(script + "\n")


def test_variables_are_bounded_together() -> None:
    lines = "".join(f"eval set v{n}=$a\n" for n in range(200))
    with pytest.raises(BakeryError, match="out of all proportion"):
        run("a=" + "x" * 8000 + "\n" + lines)


def test_what_is_passed_over_is_told() -> None:
    menu = run("b }\nfrobnicate 1\nsource /none.cfg\nsearch --set=root --label NONE\nload_env\n")
    told = "\n".join(menu.notes)
    for text in ("line 1: } is not", "'frobnicate'", "'/none.cfg' in vain", "label 'NONE' in vain"):
        assert text in told


def test_only_files_of_devices_that_are_there_are_read() -> None:
    menu = grub.run(Disks({}), {"root": "hd0", "prefix": "(hd0)/grub"})
    assert menu == grub.Menu(items=())


WORDS = [
    "menuentry",
    "submenu",
    "{",
    "}",
    "'",
    '"',
    "\\",
    "$",
    ";",
    "#",
    "${x}",
    "--id",
    "a=b",
    "default=",
    "set",
    "/k",
    "if",
    "then",
    "else",
    "fi",
    "for",
    "in",
    "do",
    "done",
    "while",
    "until",
    "function",
    "f",
    "[",
    "]",
    "!",
    "true",
    "false",
    "source",
    "$prefix/grub.cfg",
    "configfile",
    "load_env",
    "regexp",
    "search",
    "--set=root",
    "eval",
    "blscfg",
    "linux",
    "initrd",
    "boot",
    "exit",
    "$@",
    "export",
    "normal",
    "shift",
    "return",
    "break",
]
TEXTS = st.lists(st.sampled_from([*WORDS, " ", "\n", "\n"]), max_size=40).map(" ".join)


@given(TEXTS.map(str.encode) | st.binary(max_size=200))
def test_any_bytes_are_a_menu_or_refused(text: bytes) -> None:
    try:
        menu = run(text)
    except BakeryError as error:
        assert error.message
        return
    assert all(e.problem or e.linux or e.chainloader for e in menu.entries)
    assert menu.first is None or menu.first in menu.entries
