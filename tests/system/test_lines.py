"""Lines change, the length of the file does not, where that can be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.system import lines

TEXT = st.lists(
    st.sampled_from([b"# a comment of some length", b"#", b"a  b\tc", b"x y z\r", b"", b" \t# z"]),
    min_size=1,
    max_size=8,
).map(b"\n".join)
NEW = st.none() | st.sampled_from([b"p", b"p  q", b"a much longer line than  those  were"])


def test_a_line_that_goes_leaves_a_comment_of_its_length():
    assert lines.changed(b"one\n" + b"t" * 60 + b"\nthree", {2: None}) == (
        b"one\n# taken out by bakery: what stood here is not on this disk  \nthree"
    )
    assert lines.changed(b"ab\n", {1: None}) == b"# \n"
    assert lines.changed(b"abc\r\n", {1: None}) == b"#  \r\n"


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (b"a   b", b"aaaa b"),
        (b"a  b  ", b"aaaa b"),
        (b"a b\n# 12", b"aaaa b\n#"),
        (b"# 1\na b\n# 1234", b"# 1\naaaa b\n# 1"),
        (b"a b\n#1", b"aaaa b\n#"),
    ],
)
def test_room_is_made_of_blanks_and_then_of_comments(text: bytes, after: bytes):
    number = 1 + text.split(b"\n").index(next(x for x in text.split(b"\n") if x[:1] == b"a"))
    line = text.split(b"\n")[number - 1]
    new = lines.changed(text, {number: b"aaaa" + line[1:]})
    assert new == after or len(new) > len(text)


def test_what_went_gives_its_bytes_before_the_comments_do():
    text = b"# kept as it is\na b\ngone gone gone\n"
    new = lines.changed(text, {2: b"aaaaaa b", 3: None})
    assert new.splitlines()[:2] == [b"# kept as it is", b"aaaaaa b"]
    assert len(new) == len(text)


def test_a_shorter_line_is_filled_up():
    assert lines.changed(b"abcdef\r\nx", {1: b"a"}) == b"a     \r\nx"


@given(TEXT, st.lists(NEW, min_size=8, max_size=8))
def test_other_lines_that_say_something_stay_and_the_number_of_lines_does(text, new):
    old = text.split(b"\n")
    change = {n: line for n, line in enumerate(new[: len(old)], 1) if n % 2}
    after = lines.changed(text, change).split(b"\n")
    assert len(after) == len(old)
    assert sum(map(len, after)) >= sum(map(len, old))
    for number, (was, line) in enumerate(zip(old, after, strict=True), 1):
        wanted = change.get(number, was)
        if wanted is None:
            assert not line.strip() or lines.is_comment(line)
        elif lines.is_comment(wanted):
            assert lines.is_comment(line)
        else:
            assert line.split() == wanted.split()
