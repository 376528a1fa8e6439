import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.system import bls, kargs

CHECKSUM = "a" * 64
ATOMIC = f"""title Fedora 21 (Twenty One) 21.3 (ostree)
version 1
options root=/dev/mapper/atomicos-root ostree=/ostree/boot.0/fedora-atomic/{CHECKSUM}/0
initrd /ostree/fedora-atomic-{CHECKSUM}/initramfs-3.17.4.img
linux /ostree/fedora-atomic-{CHECKSUM}/vmlinuz-3.17.4
""".encode()


def entry(identity, version="", **fields):
    return bls.BlsEntry(id=identity, linux="/vmlinuz", version=version, **fields)


def ids(entries):
    return [one.id for one in bls.order(entries)]


def test_an_entry_as_ostree_writes_it():
    found = bls.parse(ATOMIC, "ostree-1-fedora-atomic.conf")
    assert found.id == "ostree-1-fedora-atomic"
    assert found.title == "Fedora 21 (Twenty One) 21.3 (ostree)"
    assert found.version == "1"
    assert found.linux == f"/ostree/fedora-atomic-{CHECKSUM}/vmlinuz-3.17.4"
    assert found.initrd == (f"/ostree/fedora-atomic-{CHECKSUM}/initramfs-3.17.4.img",)
    assert kargs.value(bls.arguments(found), "root") == "/dev/mapper/atomicos-root"


def test_several_initrds_and_options_count_in_their_order():
    text = b"linux k\ninitrd /microcode\noptions a b\ninitrd /main  /more\noptions c\n"
    found = bls.parse(text, "x.conf")
    assert found.initrd == ("/microcode", "/main", "/more")
    assert bls.arguments(found) == ("a", "b", "c")


def test_comments_blanks_tabs_carriage_returns_and_unknown_keys_do_no_harm():
    text = (
        b"# linux /wrong\r\n\r\n  linux\t/right  \r\n\tinitrd \t /i\r\n"
        b"grub_users $u\r\nnonsense\r\noptions \r\n"
    )
    found = bls.parse(text, "x.conf")
    assert (found.linux, found.initrd) == ("/right", ("/i",))
    assert bls.arguments(found) == ()


def test_paths_are_tidied():
    assert bls.parse(b"linux //a/./b\n", "x.conf").linux == "/a/b"


@pytest.mark.parametrize(
    "text", [b"title x\n", b"", b"\xff\xfe\0", b"linux\n", b"linux /../etc/shadow\n", b"linux /\n"]
)
def test_an_entry_without_a_kernel_of_its_own_is_refused_by_name(text):
    with pytest.raises(BakeryError, match="'ostree-2-x'"):
        bls.parse(text, "ostree-2-x.conf")


@pytest.mark.parametrize("initrd", ["/a/../../b", "/a\x1bb", "/" + "a" * 5000])
def test_an_initrd_that_leads_elsewhere_is_refused(initrd):
    with pytest.raises(BakeryError, match="not a file in its filesystem"):
        bls.parse(f"linux /k\ninitrd {initrd}\n".encode(), "x.conf")


def test_a_unified_kernel_image_is_named_as_what_it_is():
    with pytest.raises(BakeryError, match="unified kernel image") as caught:
        bls.parse(b"title x\nuki /EFI/Linux/x.efi\n", "x.conf")
    assert "--layout disk" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [b"linux /k\n" * 2000, b"linux /k\n" + b"x" * (1 << 20), b"linux /k\ninitrd" + b" /i" * 100],
)
def test_an_entry_out_of_all_proportion_is_refused(text):
    with pytest.raises(BakeryError):
        bls.parse(text, "x.conf")


def test_a_line_of_blanks_takes_no_time():
    assert bls.parse(b"linux /k\noptions a" + b" " * 200_000 + b"b\n", "x.conf").linux == "/k"


def test_variables_come_from_the_saved_environment_and_unknown_ones_are_empty():
    text = b"linux /k\ninitrd /i $tuned_initrd\noptions $kernelopts ${more} $tuned_params a\\$b\n"
    environment = {"kernelopts": "root=/dev/sda1 ro", "more": "quiet"}
    found = bls.parse(text, "x.conf", environment)
    assert found.initrd == ("/i",)
    assert bls.arguments(found, environment) == ("root=/dev/sda1", "ro", "quiet", "a$b")
    with_tuned = bls.parse(text, "x.conf", {"tuned_initrd": "/t.img"})
    assert with_tuned.initrd == ("/i", "/t.img")


def test_a_variables_value_is_not_expanded_again():
    assert bls.expand("$a", {"a": "$a$a"}) == "$a$a"


def test_an_entry_without_options_gets_the_default_ones():
    found = bls.parse(b"linux /k\n", "x.conf")
    assert bls.arguments(found) == ()
    assert bls.arguments(found, {"default_kernelopts": "root=x"}) == ("root=x",)


def test_options_that_are_no_kernel_arguments_are_refused():
    with pytest.raises(BakeryError, match="kernel argument"):
        bls.arguments(bls.parse("linux /k\noptions naïve\n".encode(), "x.conf"))


def test_the_highest_version_leads_whatever_the_names_say():
    assert ids([entry("ostree-a-0", "2"), entry("ostree-a-1", "1"), entry("ostree-a-2", "10")]) == [
        "ostree-a-2",
        "ostree-a-0",
        "ostree-a-1",
    ]


def test_kernel_versions_go_by_number_and_the_rescue_kernel_last():
    machine = "8f3c9d"
    versions = ["0-rescue-8f3c9d", "5.14.0-70.el9", "5.14.0-70.13.1.el9_0", "5.9.0-1.el9"]
    entries = [entry(f"{machine}-{version}", version) for version in versions]
    assert [e.version for e in bls.order(entries)] == [
        "5.14.0-70.13.1.el9_0",
        "5.14.0-70.el9",
        "5.9.0-1.el9",
        "0-rescue-8f3c9d",
    ]


def test_equal_versions_go_by_the_highest_id_and_no_version_goes_last():
    assert ids([entry("a-9", "1"), entry("z"), entry("a-10", "1")]) == ["a-10", "a-9", "z"]


def test_entries_that_boot_counting_gave_up_go_last():
    assert ids([entry("x-9+0-3", "9"), entry("x-8+2-1", "8"), entry("x-7", "7")]) == [
        "x-8+2-1",
        "x-7",
        "x-9+0-3",
    ]


def test_entries_with_a_sort_key_go_by_it_before_those_without():
    entries = [
        entry("a", "9"),
        entry("b", "1", sort_key="fedora"),
        entry("c", "2", sort_key="fedora"),
        entry("d", "1", sort_key="debian"),
    ]
    assert ids(entries) == ["d", "c", "b", "a"]


def test_too_many_entries_are_refused():
    with pytest.raises(BakeryError, match="300 boot entries"):
        bls.order([entry(str(i)) for i in range(300)])


def test_the_saved_entry_leads_by_id_title_or_number_and_else_nothing_changes():
    entries = [entry("a", "1", title="Old"), entry("b", "2", title="New"), entry("c", "0")]
    assert ids(entries) == ["b", "a", "c"]
    for saved in ("a", "Old", "1"):
        assert [e.id for e in bls.order(entries, saved)] == ["a", "b", "c"]
    for saved in ("", "gone", "7", "²", "9" * 50):
        assert [e.id for e in bls.order(entries, saved)] == ["b", "a", "c"]
    assert bls.order([], "0") == []


def test_replaced_options_leave_everything_else_as_it_was():
    new = bls.replace_options(ATOMIC, "root=UUID=1 quiet")
    old_lines, new_lines = ATOMIC.splitlines(), new.splitlines()
    assert new_lines[2] == b"options root=UUID=1 quiet"
    assert old_lines[:2] + old_lines[3:] == new_lines[:2] + new_lines[3:]


def test_replaced_options_keep_the_lines_shape_and_take_further_lines_out():
    text = b"linux /k\r\n options\t a  b \r\ntitle x\r\noptions c\r\n"
    new = bls.replace_options(text, "d")
    assert new == b"linux /k\r\n options\t d\r\ntitle x\r\n"


def test_options_are_added_where_there_were_none_and_leave_no_empty_key():
    assert bls.replace_options(b"linux /k", "a") == b"linux /k\noptions a\n"
    assert bls.replace_options(b"options\nlinux /k\n", "a") == b"options a\nlinux /k\n"
    assert bls.replace_options(b"options a\nlinux /k\n", " ") == b"linux /k\n"
    assert bls.replace_options(b"optionsx y\n", "") == b"optionsx y\n"


@pytest.mark.parametrize("options", ["a\nlinux /evil", "a\rb", "a\0", "ä"])
def test_options_that_would_break_the_line_are_refused(options):
    with pytest.raises(BakeryError):
        bls.replace_options(ATOMIC, options)


LINES = st.lists(
    st.sampled_from([b"linux /k", b"options a", b"options", b"title x", b"\toptions\tb\r", b""])
    | st.binary(max_size=30),
    max_size=8,
).map(b"\n".join)


@given(LINES, st.sampled_from(["x", "x=1 y", 'a="b c"']))
def test_what_replaced_options_say_is_what_is_read_and_other_lines_stay(text, options):
    new = bls.replace_options(text, options)
    others = [line for line in text.split(b"\n") if line.split()[:1] != [b"options"]]
    left = [line for line in new.split(b"\n") if line.split()[:1] != [b"options"]]
    assert [line.rstrip(b"\r") for line in left if line] == [
        line.rstrip(b"\r") for line in others if line
    ]
    found = bls.parse(b"linux /first\n" + new, "x.conf")
    assert found.options == options


@given(st.binary(max_size=300) | LINES)
def test_any_bytes_are_an_entry_or_refused(text):
    try:
        found = bls.parse(text, "x.conf", {"a": "b"})
        bls.arguments(found, {"a": "b"})
    except BakeryError:
        return
    assert found.linux.startswith("/")


@given(st.lists(st.tuples(st.text("ab019+-~^.", max_size=6), st.text("019.~^a", max_size=5))))
def test_the_order_does_not_depend_on_how_the_directory_was_read(pairs):
    entries = [entry(*pair) for pair in dict(pairs).items()]
    assert bls.order(entries) == bls.order(reversed(entries))


@pytest.mark.parametrize("filler", [b"#", b"\n"])
@pytest.mark.parametrize("more", [0, 1])
def test_an_entry_is_as_long_as_is_allowed_and_no_longer(filler, more):
    head = b"linux /k\n"
    room = bls.SIZE_LIMIT_BYTES - len(head) if filler == b"#" else bls.LINE_LIMIT - 1
    text = head + filler * (room + more)
    if more:
        with pytest.raises(BakeryError, match="long"):
            bls.parse(text, "x.conf")
    else:
        assert bls.parse(text, "x.conf").linux == "/k"


@pytest.mark.parametrize("key", ["uki", "uki-url", "efi"])
def test_an_entry_that_starts_an_efi_program_is_told_from_one_that_starts_nothing(key):
    with pytest.raises(BakeryError, match="starts an EFI program") as sealed:
        bls.parse(f"title x\n{key} /EFI/x.efi\n".encode(), "a.conf")
    assert "--layout disk" in sealed.value.hint
    with pytest.raises(BakeryError, match="names no kernel") as empty:
        bls.parse(b"title x\nversion 1\n", "a.conf")
    assert "--deployment" in empty.value.hint


def test_of_ids_that_say_the_same_version_the_higher_text_is_first():
    one, two = (bls.BlsEntry(id=name, linux="/k") for name in ("a-01", "a-1"))
    assert bls.order([one, two]) == bls.order([two, one]) == [two, one]
