import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.system import kargs

BLUEPRINT = (
    "nofb nomodeset vga=normal console=ttyS0 no_timer_check root=/dev/mapper/atomicos-root "
    "ostree=/ostree/boot.0/fedora-atomic/"
    "a002a2c2e44240db614e09e82c7822322253bfcaad0226f3ff9befb9f96d315f/0"
)
PRINTABLE = string.ascii_letters + string.digits + string.punctuation.replace('"', "")
WORDS = st.text(PRINTABLE, min_size=1, max_size=20)
QUOTED = st.builds('{}="{}"'.format, WORDS, st.text(PRINTABLE + " ", max_size=20))
ARGS = st.lists(WORDS | QUOTED, max_size=20).map(tuple)


def test_the_blueprints_line_comes_back_as_it_was():
    assert kargs.join(kargs.parse(BLUEPRINT)) == BLUEPRINT
    assert len(kargs.parse(BLUEPRINT)) == 7


def test_blanks_of_any_number_and_tabs_part_arguments():
    assert kargs.parse("  ro \t quiet  ") == ("ro", "quiet")


@pytest.mark.parametrize("text", ['dyndbg="file a.c +p; file b.c +p"', '"dyndbg=file a.c +p"'])
def test_double_quotes_keep_blanks_together_wherever_they_open(text):
    assert kargs.parse(f"ro {text} quiet") == ("ro", text, "quiet")
    assert (kargs.value(kargs.parse(text), "dyndbg") or "").startswith("file a.c +p")


@pytest.mark.parametrize(
    "text", ["a\nb", "a\rb", "a\0b", "a\x1bb", "a\x7fb", "naïve", "a\u00a0b", "\u2028", 'a="b']
)
def test_what_could_leave_its_place_is_refused_with_the_arguments_name(text):
    with pytest.raises(BakeryError, match="kernel argument"):
        kargs.parse(text)
    with pytest.raises(BakeryError):
        kargs.validate((text,))


@pytest.mark.parametrize("arg", ["", "a b", " a", '"a" b'])
def test_an_argument_that_would_not_stay_one_word_is_refused(arg):
    with pytest.raises(BakeryError):
        kargs.join(("ro", arg))


def test_a_line_longer_than_a_kernel_keeps_is_refused_and_one_as_long_is_not():
    assert kargs.parse("a" * kargs.LIMIT_BYTES)
    with pytest.raises(BakeryError, match="2047"):
        kargs.parse("a" * (kargs.LIMIT_BYTES + 1))
    with pytest.raises(BakeryError, match="2047"):
        kargs.parse("a " * 10**6)


def test_the_last_of_two_values_counts():
    args = kargs.parse('console=tty0 console=ttyS0 quiet x="" y="a b"')
    assert kargs.value(args, "console") == "ttyS0"
    assert kargs.value(args, "quiet") == ""
    assert kargs.value(args, "x") == ""
    assert kargs.value(args, "y") == "a b"
    assert kargs.value(args, "tty0") is None


def test_what_stands_behind_two_hyphens_is_not_the_kernels():
    args = kargs.parse("ro -- root=/dev/none")
    assert kargs.value(args, "root") is None
    assert kargs.append(args, "quiet") == ("ro", "quiet", "--", "root=/dev/none")


def test_append_takes_several_and_refuses_nothing_at_all():
    assert kargs.append(("ro",), 'a=1 b="2 3"') == ("ro", "a=1", 'b="2 3"')
    with pytest.raises(BakeryError, match="empty"):
        kargs.append(("ro",), "  ")


def test_delete_of_a_key_takes_every_value_and_of_a_pair_only_that_pair():
    args = ("console=tty0", "quiet", "console=ttyS0", "consoleblank=0", "console")
    assert kargs.delete(args, "console") == ("quiet", "consoleblank=0")
    assert kargs.delete(args, "console=tty0") == args[1:]


def test_delete_of_what_is_not_there_names_what_is():
    with pytest.raises(BakeryError, match="'rhgb'") as caught:
        kargs.delete(("ro", "quiet"), "rhgb")
    assert "ro quiet" in caught.value.hint


@given(ARGS)
def test_join_and_parse_undo_each_other(args):
    assert kargs.parse(kargs.join(args)) == args


@given(st.text(max_size=300))
def test_any_text_is_parsed_or_refused(text):
    try:
        args = kargs.parse(text)
    except BakeryError:
        return
    assert kargs.parse(kargs.join(args)) == args


@given(ARGS, WORDS | QUOTED)
def test_what_is_appended_can_be_deleted_again(args, new):
    if new == "--" or new in args or "=" not in new:
        return
    assert kargs.delete(kargs.append(args, new), new) == args


def test_the_blanks_between_arguments_count():
    fits = ("a" * 2000, "b" * 40, "c" * 5)
    assert kargs.validate(fits) == fits
    with pytest.raises(BakeryError, match="2048 bytes"):
        kargs.validate(("a" * 2000, "b" * 40, "c" * 6))
    assert kargs.validate(()) == ()


def test_a_text_is_read_though_blanks_make_it_long_up_to_a_bound():
    assert kargs.parse(" " * kargs.LIMIT_BYTES * 4) == ()
    with pytest.raises(BakeryError, match="bytes long"):
        kargs.parse(" " * (kargs.LIMIT_BYTES * 4 + 1))
