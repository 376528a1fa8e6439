import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.system import systemd_boot
from bakery.system.systemd_boot import Configuration
from bakery.system.systemd_entry import Entry


def entry(
    name: str,
    version: str = "",
    sort_key: str | None = None,
    machine_id: str | None = None,
    left: int | None = None,
    done: int = 0,
) -> Entry:
    return Entry(
        id=name,
        kind="linux",
        place="esp",
        path="/k",
        version=version,
        sort_key=sort_key,
        machine_id=machine_id,
        tries_left=left,
        tries_done=done,
    )


def ids(entries: list[Entry], loader: str = "") -> list[str]:
    return [one.id for one in systemd_boot.menu(Configuration(), entries, loader=loader).entries]


def chosen(text: str, *names: str, auto: tuple[str, ...] = ()) -> str | None:
    found = systemd_boot.menu(
        systemd_boot.parse(text.encode()),
        [entry(name) for name in names],
        auto=[Entry(id=name, kind="auto", place="esp", path="/p") for name in auto],
    )
    return None if found.chosen is None else found.entries[found.chosen].id


def test_loader_conf_says_which_entry_is_the_default() -> None:
    text = b"#timeout 3\ntimeout 0\nconsole-mode keep\ndefault 8F3C*\neditor no\n"
    assert systemd_boot.parse(text) == Configuration(default="8f3c*")
    assert systemd_boot.parse(b"") == Configuration()
    assert systemd_boot.parse(b"default a\ndefault b\n").default == "b"
    assert systemd_boot.parse(b"default a\ndefault @other\n").default == "a"
    assert systemd_boot.parse(b"default @SAVED\n") == Configuration(saved=True)


def test_a_menu_may_wait_for_somebody() -> None:
    forced = systemd_boot.parse(b"timeout menu-force\n")
    assert systemd_boot.menu(forced, [entry("a.conf")]).waits
    hidden = systemd_boot.parse(b"timeout menu-force\ntimeout menu-hidden\n")
    assert not systemd_boot.menu(hidden, [entry("a.conf")]).waits


def test_the_default_is_the_first_in_order_that_the_pattern_matches() -> None:
    names = ("arch-1.conf", "arch-2.conf", "debian-9.conf")
    assert chosen("", *names) == "debian-9.conf"
    assert chosen("default arch-*", *names) == "arch-2.conf"
    assert chosen("default ARCH-1.conf", *names) == "arch-1.conf"
    assert chosen("default arch-1", *names) == "debian-9.conf"
    assert chosen("default @saved", *names) == "debian-9.conf"
    assert chosen("") is None


def test_other_systems_start_only_where_they_are_asked_for() -> None:
    auto = ("auto-windows",)
    assert chosen("", auto=auto) is None
    assert chosen("", "a.conf", auto=auto) == "a.conf"
    assert chosen("default auto-*", "a.conf", auto=auto) == "auto-windows"
    assert chosen("default auto-*\nauto-entries no\n", "a.conf", auto=auto) == "a.conf"


def test_entries_without_a_sort_key_go_by_id_newest_first() -> None:
    names = ["m-6.1.0-9.conf", "m-6.1.0-25.conf", "m-6.1.0-25-rescue.conf", "a-7.conf"]
    assert ids([entry(name) for name in names]) == [
        "m-6.1.0-25.conf",
        "m-6.1.0-25-rescue.conf",
        "m-6.1.0-9.conf",
        "a-7.conf",
    ]


def test_entries_with_a_sort_key_come_first_by_it_then_machine_then_newest_version() -> None:
    entries = [
        entry("z.conf", "9"),
        entry("a.conf", "1", "fedora", "m2"),
        entry("b.conf", "10", "fedora", "m1"),
        entry("c.conf", "9", "fedora", "m1"),
        entry("d.conf", "1", "debian", "m9"),
        entry("e.conf", "1", "fedora"),
        entry("f.conf", "9", "fedora", "m1"),
    ]
    assert ids(entries) == ["d.conf", "e.conf", "b.conf", "f.conf", "c.conf", "a.conf", "z.conf"]


def test_entries_that_are_given_up_go_last_and_still_start_where_they_are_asked_for() -> None:
    entries = [entry("a+0-3.conf", "9", "a", left=0, done=3), entry("z.conf"), entry("b+1.conf")]
    assert ids(entries) == ["z.conf", "b+1.conf", "a+0-3.conf"]
    found = systemd_boot.menu(systemd_boot.parse(b"default a*\n"), entries)
    assert found.chosen == 2


def test_of_two_entries_with_one_id_the_one_with_more_tries_left_is_first() -> None:
    found = [entry("a", left=1, done=2), entry("a", left=3), entry("a", left=1, done=1)]
    listed = systemd_boot.menu(Configuration(), found).entries
    assert [(one.tries_left, one.tries_done) for one in listed] == [(3, 0), (1, 1), (1, 2)]


def test_profiles_of_one_image_stay_together_in_their_order() -> None:
    found = [
        Entry(id=f"{name}.efi{suffix}", kind="uki", place="esp", path=f"/EFI/Linux/{name}.efi",
              profile=number)
        for name in ("A", "b")
        for number, suffix in ((1, "@x@y"), (0, ""), (2, "@0"))
    ]  # fmt: skip
    random.Random(1).shuffle(found)
    listed = systemd_boot.menu(Configuration(), found).entries
    assert [(one.path[11], one.profile) for one in listed] == [
        ("b", 0), ("b", 1), ("b", 2), ("A", 0), ("A", 1), ("A", 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("loader", "first"),
    [
        ("systemd-boot 249.11-0ubuntu3", "z.conf"),
        ("systemd-boot 250", "a.conf"),
        ("systemd-boot 252.39-1~deb12u2", "a.conf"),
        ("", "a.conf"),
    ],
)
def test_a_systemd_boot_from_before_sort_keys_passes_them_over(loader: str, first: str) -> None:
    assert ids([entry("a.conf", "1", "debian"), entry("z.conf")], loader)[0] == first


def test_the_programs_that_are_looked_for_bear_the_processors_name() -> None:
    paths = [path for _, _, path in systemd_boot.auto_programs("aarch64")]
    assert paths[-2:] == ["/shellaa64.efi", "/EFI/BOOT/BOOTAA64.EFI"]


def test_each_limit_is_one() -> None:
    longest = "a" * systemd_boot.SORTED_LIMIT
    assert len(ids([entry(longest)])) == 1
    with pytest.raises(BakeryError, match="1025 characters"):
        ids([entry("a.conf", longest + "a", "x")])
    most = [entry(f"{n}.conf") for n in range(systemd_boot.ENTRY_LIMIT)]
    assert len(ids(most)) == len(most)
    with pytest.raises(BakeryError, match=r"513 boot entries"):
        ids([*most, entry("x.conf")])
    with pytest.raises(BakeryError, match="1025 characters"):
        systemd_boot.parse(b"default " + b"a" * 1025)


ENTRIES = st.lists(
    st.builds(
        entry,
        st.text("ab1.-@", max_size=4),
        st.text("19.~", max_size=3),
        st.none() | st.sampled_from(["", "a", "b"]),
        st.none() | st.sampled_from(["", "m"]),
        st.none() | st.integers(0, 2),
    ),
    max_size=8,
    unique_by=lambda one: re.sub(r"[^a-z0-9]", "", one.id),
)


@given(ENTRIES, st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_how_a_folder_was_read(
    entries: list[Entry], chance: random.Random
) -> None:
    shuffled = entries[:]
    chance.shuffle(shuffled)
    assert ids(shuffled) == ids(entries)


@given(st.binary(max_size=100) | st.text("default auto-entries yes no\n*[@").map(str.encode))
def test_any_bytes_are_a_configuration_or_refused(text: bytes) -> None:
    try:
        found = systemd_boot.parse(text)
    except BakeryError:
        return
    assert not found.default.startswith("@")
