"""From GRUB's start to its menu, over several devices."""

import pytest

from bakery.system import grub
from bakery.system.grub import Entry, File, Menu
from tests.system.grub.worlds import Disks

MENU = b"menuentry x { linux /k $v root=$root }\n"
ESP, ROOT = "hd0,gpt1", "hd0,gpt2"


def started(
    esp: dict[str, bytes], root: dict[str, bytes], name: str | None = None, **more: object
) -> Menu:
    world = Disks({ESP: esp, ROOT: {"/k": b"k", **root}}, {("fs-uuid", "12-34"): ROOT})
    start = {"root": ESP, "prefix": f"({ESP})/EFI/x", "cmdpath": f"({ESP})/EFI/x"}
    return grub.run(world, start, name, **more)  # type: ignore[arg-type]


def args(menu: Menu) -> tuple[str, ...]:
    first = menu.first
    assert first is not None
    assert first.linux is not None, first.problem
    return first.linux.args


def test_a_stub_on_the_esp_leads_on() -> None:
    stub = b"search.fs_uuid 12-34 root\nset prefix=($root)'/grub'\nconfigfile $prefix/grub.cfg\n"
    menu = started({"/EFI/x/grub.cfg": stub}, {"/grub/grub.cfg": MENU})
    assert args(menu) == (f"root={ROOT}",)
    assert menu.configs == (File(ESP, "/EFI/x/grub.cfg"), File(ROOT, "/grub/grub.cfg"))


def test_debians_stub_leads_on_by_normal_as_well() -> None:
    stub = b"search --fs-uuid --set=root 12-34\nset prefix=($root)/grub\nnormal\n"
    assert args(started({"/EFI/x/grub.cfg": stub}, {"/grub/grub.cfg": MENU})) == (f"root={ROOT}",)


def test_the_images_own_configuration_runs_first() -> None:
    early = b"search.fs_uuid 12-34 root\nset prefix=($root)/grub\nset v=early\n"
    assert args(started({}, {"/grub/grub.cfg": MENU}, early=early)) == ("early", f"root={ROOT}")
    boots = b"set root=hd0,gpt2\nlinux /k at-once\nboot\n"
    menu = started({}, {"/grub/grub.cfg": MENU}, early=boots)
    assert args(menu) == ("at-once",)
    assert (len(menu.items), menu.chosen) == (1, (0,))


def test_fw_path_comes_before_prefix() -> None:
    world = Disks(
        {ESP: {"/a/grub.cfg": b"v=a\n" + MENU, "/b/grub.cfg": b"v=b\n" + MENU, "/k": b""}}
    )
    start = {"root": ESP, "prefix": f"({ESP})/b"}
    assert args(grub.run(world, start))[0] == "b"
    assert args(grub.run(world, {**start, "fw_path": f"({ESP})/a"}))[0] == "a"
    assert args(grub.run(world, {**start, "fw_path": f"({ESP})/c"}))[0] == "b"


def test_a_named_configuration_is_the_one() -> None:
    menu = started({"/EFI/x/grub.cfg": MENU}, {"/o.cfg": b"v=o\n" + MENU}, f"({ROOT})/o.cfg")
    assert menu.configs == (File(ROOT, "/o.cfg"),)


def test_a_menu_that_was_reached_does_not_let_go_on() -> None:
    outer = b"configfile (hd0,gpt2)/one.cfg\nmenuentry never { linux /k }\n"
    inner = b"menuentry a { linux (hd0,gpt2)/k }\n"
    menu = started({"/EFI/x/grub.cfg": outer}, {"/one.cfg": inner})
    assert [item.title for item in menu.items] == ["a"]


def test_a_configuration_without_a_menu_comes_back_without_its_variables() -> None:
    outer = b"v=old\nconfigfile (hd0,gpt2)/one.cfg\nroot=hd0,gpt2\n" + MENU
    menu = started({"/EFI/x/grub.cfg": outer}, {"/one.cfg": b"v=new\n"})
    assert args(menu)[0] == "old"
    lost = started({"/EFI/x/grub.cfg": b"configfile /none\nroot=hd0,gpt2\n" + MENU}, {})
    assert "leads to '/none' in vain" in lost.notes[0]


@pytest.mark.parametrize("text", [b"", b"exit\n" + MENU, b"boot\n", b"normal /none\n" + b"x=y\n"])
def test_what_comes_to_no_menu_is_empty(text: bytes) -> None:
    menu = started({"/EFI/x/grub.cfg": text}, {})
    assert (menu.items, menu.chosen, menu.first) == ((), (), None)


def test_entries_are_extracted_without_anything_else() -> None:
    other = b"v=inner\nset w=set\nmenuentry a { linux (hd0,gpt2)/k $v $w; }\nlinux (hd0,gpt2)/k\n"
    outer = (
        b"v=outer\nextract_entries_source (hd0,gpt2)/o.cfg\nmenuentry b { linux (hd0,gpt2)/k $w }\n"
    )
    menu = started({"/EFI/x/grub.cfg": outer}, {"/o.cfg": other})
    assert [item.title for item in menu.items] == ["a", "b"]
    assert [e.linux.args for e in menu.entries if e.linux] == [("outer",), ()]
    alone = outer.replace(b"entries_source", b"entries_configfile")
    menu = started({"/EFI/x/grub.cfg": alone}, {"/o.cfg": other})
    assert [item.title for item in menu.items] == ["a"]


def test_saved_variables_are_loaded_from_where_they_are_told_to_be() -> None:
    env = b"# GRUB Environment Block\nv=loaded\nw=too\n"
    files = {"/EFI/x/grubenv": env, "/EFI/x/grub.cfg": b"load_env\nroot=hd0,gpt2\n" + MENU}
    assert args(started(files, {}))[0] == "loaded"
    allowed = b"load_env -f (hd0,gpt2)/e w\nroot=hd0,gpt2\n" + MENU
    assert args(started({"/EFI/x/grub.cfg": allowed}, {"/e": env}))[0] == f"root={ROOT}"
    broken = started({"/EFI/x/grub.cfg": files["/EFI/x/grub.cfg"], "/EFI/x/grubenv": b"x"}, {})
    assert args(broken) == (f"root={ROOT}",)
    assert any("no" in note and "environment block" in note for note in broken.notes)


def test_what_is_saved_is_seen_by_what_loads_it_later() -> None:
    text = b"v=1\nsave_env v\nv=2\nload_env\nroot=hd0,gpt2\n" + MENU
    env = {"/EFI/x/grubenv": b"# GRUB Environment Block\nv=0\n"}
    assert args(started({"/EFI/x/grub.cfg": text, **env}, {}))[0] == "1"
    unset = text.replace(b"v=1\n", b"", 1)
    assert args(started({"/EFI/x/grub.cfg": unset, **env}, {}))[0] == "2"


def test_grub_knows_its_platform_and_features() -> None:
    text = b"root=hd0,gpt2\nv=$grub_platform/$grub_cpu/$feature_menuentry_id\n" + MENU
    assert args(started({"/EFI/x/grub.cfg": text}, {}))[0] == "efi/x86_64/y"


def test_whose_grub_it_is_may_be_told() -> None:
    entry = {"/loader/entries/a.conf": b"linux /k\noptions quiet x\n"}
    text = {"/EFI/x/grub.cfg": b"root=hd0,gpt2\nblscfg\n" + MENU}
    assert [i.id for i in started(text, entry).items] == ["a", "x"]
    assert [i.id for i in started(text, entry, flavour="fedora").items] == ["a", "x"]
    gnu = started(text, entry, flavour="gnu")
    assert [i.id for i in gnu.items] == ["x"]
    assert any("'blscfg'" in note for note in gnu.notes)
    assert isinstance(gnu.items[0], Entry)
