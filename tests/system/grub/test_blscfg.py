"""`blscfg`: BLS entries as Fedora's and RHEL's GRUB reads, orders and runs them.

Debian's GRUB has no such command to ask: what is expected here is grub-core/commands/blscfg.c of
rhboot/grub2, followed by hand.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.system.grub import Entry, File, Menu, blscfg, parse_environment
from bakery.system.grub.variables import Value, Variables
from tests.system.grub.worlds import run

MACHINE = "11112222333344445555666677778888"
FOLDER = "/loader/entries"


def bls(version: str, /, **more: str) -> bytes:
    values = {
        "title": f"Fedora ({version})",
        "version": version,
        "linux": f"/vmlinuz-{version}",
        "initrd": f"/initrd-{version}",
        "options": "root=UUID=1 ro",
        **more,
    }
    return "".join(f"{key} {value}\n" for key, value in values.items()).encode()


def menu(entries: dict[str, bytes], script: str = "blscfg", folder: str = FOLDER) -> Menu:
    files = {f"{folder}/{name}.conf": text for name, text in entries.items()}
    versions = [name.partition("-")[2] for name in entries]
    files |= {f"/{kind}-{version}": b"x" for version in versions for kind in ("vmlinuz", "initrd")}
    return run(f"{script}\n", files)


def first(entries: dict[str, bytes], script: str = "blscfg") -> Entry:
    found = menu(entries, script).first
    assert found is not None
    return found


def args(options: str, script: str = "blscfg") -> tuple[str, ...]:
    found = first({"m-1": bls("1", options=options)}, script)
    assert found.linux is not None, found.problem
    return found.linux.args


def ids(*names: str) -> list[str]:
    return [e.id for e in menu({name: bls("1") for name in names}).entries]


def test_an_entry_becomes_a_line_of_the_menu() -> None:
    entry = first({"m-1": bls("1")})
    assert (entry.title, entry.id) == ("Fedora (1)", "m-1")
    assert entry.linux is not None
    assert entry.linux.file == File("hd0,gpt2", "/vmlinuz-1")
    assert entry.linux.args == ("root=UUID=1", "ro")
    assert entry.initrds == (File("hd0,gpt2", "/initrd-1"),)
    assert entry.linux.place.kind == "bls"
    assert entry.linux.place.file.path == f"{FOLDER}/m-1.conf"


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ("m-5.14.0-10.el9.x86_64", "m-5.14.0-9.el9.x86_64"),
        ("m-6.1-1", "m-5.19-200"),
        ("m-5.14.0-70.13.1.el9_0", "m-5.14.0-70.el9"),
        ("m-5.14.0-70.el9", "m-0-rescue"),
        ("b-1-1", "a-2-2"),
        ("m-1.0-1", "m-1.0~rc1-1"),
        ("m-1.0+git-1", "m-1.0-1"),
        ("m-1.0.1-1", "m-1.0+git-1"),
        ("m-1a-1", "m-1-1"),
        ("m-1.1-1", "m-1.a-1"),
        ("m-010-1", "m-9-1"),
        ("ostree-2", "ostree-1"),
        ("m-1-1", "m-1"),
        ("b", "a"),
    ],
)
def test_newer_names_stand_first(newer: str, older: str) -> None:
    assert blscfg.compare(newer, older) == 1
    assert blscfg.compare(older, newer) == -1
    assert ids(older, newer) == ids(newer, older) == [newer, older]


def test_the_version_key_and_the_order_of_the_folder_do_not_count() -> None:
    entries = {"m-1": bls("1", version="9"), "m-2": bls("2", version="1")}
    assert first(entries).id == "m-2"


def test_of_two_names_that_compare_as_equal_one_stays() -> None:
    assert blscfg.compare("m-1.0-1", "m-1_0-1") == 0
    assert blscfg.compare("m-01-1", "m-1-1") == 0
    assert ids("m-1_0-1", "m-1.0-1") == ["m-1_0-1"]


@pytest.mark.parametrize(
    ("default", "expected"),
    [("m-1", "m-1"), ("Fedora (1)", "m-1"), ("1", "m-1"), ("0", "m-2"), ("none", "m-2")],
)
def test_the_default_is_an_id_a_title_or_a_number(default: str, expected: str) -> None:
    script = f'set default="{default}"\nblscfg'
    assert first({"m-1": bls("1"), "m-2": bls("2")}, script).id == expected


def test_an_id_that_begins_with_a_digit_is_no_number() -> None:
    entries = {f"1{MACHINE}-1": bls("1"), f"1{MACHINE}-2": bls("2"), f"1{MACHINE}-3": bls("3")}
    assert first(entries, f"set default=1{MACHINE}-1\nblscfg").id == f"1{MACHINE}-1"


def test_variables_are_filled_in_with_a_blank_behind_each() -> None:
    set_up = "set kernelopts='root=UUID=2 ro'\nset tuned=isolcpus=1\nblscfg"
    assert args("$kernelopts $none $tuned quiet", set_up) == (
        *("root=UUID=2", "ro", "isolcpus=1", "quiet"),
    )
    assert args("a=$tuned", set_up) == ("a=isolcpus=1",)
    assert args("a=$tuned,b", set_up) == ("a=isolcpus=1", ",b")
    assert args("a=\\$tuned b=c", set_up) == ("a=$tuned", "b=c")
    assert args("quiet $kernelopts s", set_up) == ("quiet", "root=UUID=2", "ro")


def test_what_fed_the_options_is_told_with_its_place() -> None:
    entry = first({"m-1": bls("1", options="$kernelopts")}, "set kernelopts='root=2 ro'\nblscfg")
    assert entry.linux is not None
    (variable,) = entry.linux.variables
    assert (variable.name, variable.value) == ("kernelopts", "root=2 ro")
    assert variable.place is not None
    assert (variable.place.file.path, variable.place.start) == ("/boot/grub/grub.cfg", 15)


def test_without_options_the_default_ones_count() -> None:
    text = b"title x\nlinux /vmlinuz-1\n"
    entry = first({"m-1": text}, "set base=quiet\nset default_kernelopts='root=2 $base'\nblscfg")
    assert entry.linux is not None
    assert entry.linux.args == ("root=2", "quiet")
    assert {v.name for v in entry.linux.variables} == {"default_kernelopts", "base"}


def test_the_options_are_a_line_of_a_script() -> None:
    assert args("a \"b  c\" 'd'") == ("a", '"b  c"', "d")
    assert args("a ro; set x=y") == ("a", "ro")
    assert first({"m-1": bls("1", options="a 'b")}).problem


def test_only_the_first_options_line_counts_and_every_initrd() -> None:
    text = bls("1") + b"options more\ninitrd /initrd-2 $more\n"
    found = menu({"m-1": text, "m-2": bls("2")}, "set more=/initrd-1\nset default=m-1\nblscfg")
    assert found.first is not None
    assert found.first.linux is not None
    assert found.first.linux.args == ("root=UUID=1", "ro")
    assert [i.path for i in found.first.initrds] == ["/initrd-1", "/initrd-2", "/initrd-1"]


def test_early_initrds_lie_beside_the_entrys_own() -> None:
    entry = first(
        {"m-1": bls("1"), "m-2": bls("2")}, "set early_initrd='initrd-1 initrd-2'\nblscfg"
    )
    assert [i.path for i in entry.initrds] == ["/initrd-1", "/initrd-2", "/initrd-2"]


def test_a_file_is_read_up_to_a_line_without_a_value() -> None:
    for stop in (b"\n", b"grub_users\n", b"grub_users \n"):
        text = b"# c\n\ttitle T\r\nlinux  \t/vmlinuz-1\n" + stop + b"options quiet\n"
        entry = first({"m-1": text})
        assert entry.linux is not None
        assert (entry.title, entry.linux.args) == ("T", ())


def test_an_entry_without_a_kernel_is_passed_over() -> None:
    found = menu({"m-1": b"title x\n", "m-2": bls("2")})
    assert [e.id for e in found.entries] == ["m-2"]
    assert any("has no 'linux' line" in note for note in found.notes)


def test_other_folders_are_read_and_the_one_below_boot() -> None:
    where = {"/x": "set blsdir=/x\nblscfg", "/y": "blscfg (hd0,gpt2)/y"}
    where |= {"/boot/loader/entries": "blscfg"}
    for folder, script in where.items():
        assert [e.id for e in menu({"m-1": bls("1")}, script, folder).entries] == ["m-1"]
    assert menu({"m-1": bls("1")}, "set root=hd9\nblscfg").entries == ()


def test_the_default_and_the_others_may_be_shown_apart() -> None:
    entries = {"m-1": bls("1"), "m-2": bls("2"), "m-3": bls("3")}
    script = "set default=m-2\nblscfg default\nmenuentry x { linux /k }\nblscfg non-default\nblscfg"
    assert [i.id for i in menu(entries, script).items] == ["m-2", "x", "m-3", "m-1"]
    assert [i.id for i in menu(entries, "blscfg m-1").items] == ["m-1"]


def test_an_entry_asks_for_a_password_where_users_are_named() -> None:
    text = bls("1", grub_users="$users") + b"grub_arg --unrestricted\n"
    script = "superusers=root\nexport superusers\n"
    assert not first({"m-1": text}, script + "blscfg").asks_password
    assert first({"m-1": text}, script + "set users=root\nblscfg").asks_password


RHEL_8 = """if [ -f ${config_directory}/grubenv ]; then
  load_env -f ${config_directory}/grubenv
elif [ -s $prefix/grubenv ]; then
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
else
   set default="${saved_entry}"
fi
if [ -z "${kernelopts}" ]; then
  set kernelopts="root=UUID=3 ro fallback "
fi
insmod blscfg
blscfg
if [ "${boot_success}" = "1" -o "${boot_indeterminate}" = "1" ]; then
  set menu_hide_ok=1
else
  set menu_hide_ok=0
fi
"""


@pytest.mark.parametrize(
    ("environment", "expected", "opts"),
    [
        (b"saved_entry=m-1\nkernelopts=root=UUID=2 ro \n", "m-1", "root=UUID=2"),
        (b"saved_entry=m-1\nnext_entry=m-2\nkernelopts=root=UUID=2\n", "m-2", "root=UUID=2"),
        (b"saved_entry=\n", "m-2", "root=UUID=3"),
        (None, "m-2", "root=UUID=3"),
    ],
)
def test_rhel_8_starts_what_grubenv_says(
    environment: bytes | None, expected: str, opts: str
) -> None:
    files = {f"{FOLDER}/m-{v}.conf": bls(v, options="$kernelopts $tuned_params") for v in "12"}
    files |= {f"/{kind}-{version}": b"x" for version in "12" for kind in ("vmlinuz", "initrd")}
    if environment is not None:
        block = b"# GRUB Environment Block\n" + environment
        assert parse_environment(block)
        files["/boot/grub/grubenv"] = block
    found = run(RHEL_8, files).first
    assert found is not None
    assert found.linux is not None
    assert (found.id, found.linux.args[0]) == (expected, opts)


def test_entries_are_bounded() -> None:
    with pytest.raises(BakeryError, match="more than 256 boot entries"):
        menu({f"m-{n}": bls("1") for n in range(257)})
    with pytest.raises(BakeryError, match="out of all proportion"):
        menu({"m-1": b"a b\n" * 2000})


NAMES = st.text(st.sampled_from("ab09.-~+_"), min_size=1, max_size=10)


@given(NAMES, NAMES)
def test_the_order_is_the_same_from_both_sides(one: str, other: str) -> None:
    assert blscfg.compare(one, other) == -blscfg.compare(other, one)
    assert blscfg.compare(one, one) == 0


@given(st.text(st.sampled_from("$ab_ \\x"), max_size=20))
def test_any_text_is_filled_in(text: str) -> None:
    known = Variables({"ab": Value("1 2"), "a": Value("")})
    found = blscfg.expanded(text, known)
    assert found is None or isinstance(found.text, str)
    if "$" not in text and len(text) > 1:
        assert found is not None
        assert found.text == text
