"""What a menu says: the entries, the one that starts, and where its arguments are written."""

from bakery.system.grub import Entry, File, Menu, Place, Submenu
from tests.system.grub.worlds import run

CONFIG = File("hd0,gpt2", "/boot/grub/grub.cfg")


def entry(title: str) -> Entry:
    return Entry(title=title, id=title, config=CONFIG, problem="x")


def test_the_entry_that_starts_stands_in_front_of_the_others() -> None:
    inner = Submenu(title="s", id="s", config=CONFIG, items=(entry("b"), entry("c")))
    menu = Menu(items=(entry("a"), inner, entry("d")), chosen=(1, 1))
    assert menu.first == entry("c")
    assert [e.title for e in menu.entries] == ["c", "a", "b", "d"]
    assert Menu(items=(entry("a"),)).first is None
    assert Menu(items=(inner,), chosen=(0,)).first is None


def test_a_file_is_shown_as_grub_writes_it() -> None:
    assert str(CONFIG) == "(hd0,gpt2)/boot/grub/grub.cfg"


def test_arguments_are_told_with_their_place() -> None:
    text = "menuentry x {\r\n\tlinux  /k  root=a 'b'  # c\r\n}\nmenuentry y { linux /k }\n"
    first, second = run(text).entries
    assert first.linux is not None
    assert second.linux is not None
    place = first.linux.place
    assert (place.file, place.kind) == (CONFIG, "script")
    assert text[place.start : place.end] == "  root=a 'b'"
    empty = second.linux.place
    assert (text[: empty.start][-2:], empty.end - empty.start) == ("/k", 0)


def test_variables_that_feed_arguments_are_told_with_what_feeds_them() -> None:
    env = b"# GRUB Environment Block\nopts=ro quiet\n"
    text = """load_env
set root_arg=root=UUID=1
set all="$root_arg ${opts} x"
function boot_it { linux /k $@ $1; }
menuentry x { boot_it $all y }
"""
    first = run(text, {"/boot/grub/grubenv": env}).first
    assert first is not None
    assert first.linux is not None
    assert first.linux.args == ("root=UUID=1", "ro", "quiet", "x", "y", "root=UUID=1")
    written = {}
    for one in first.linux.variables:
        assert one.place is not None
        held = env if one.place.kind == "environment" else text.encode()
        written[one.name] = held[one.place.start : one.place.end]
    assert written == {
        "all": b'"$root_arg ${opts} x"',
        "root_arg": b"root=UUID=1",
        "opts": b"ro quiet",
    }
    assert first.linux.variables[0].value == "root=UUID=1 ro quiet x"


def test_a_place_is_in_the_file_that_was_sourced() -> None:
    part = b"menuentry x { linux /k a }\n"
    first = run("# longer\nsource $prefix/p.cfg\n", {"/boot/grub/p.cfg": part}).first
    assert first is not None
    assert first.linux is not None
    assert first.linux.place == Place(File("hd0,gpt2", "/boot/grub/p.cfg"), 22, 24)
