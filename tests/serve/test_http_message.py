import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.serve.http_message import Piece, Refused, matches, piece, split_target


@given(st.one_of(st.none(), st.text(max_size=40)), st.integers(0, 10_000))
def test_any_range_is_within_the_file_or_refused(header, size):
    try:
        found = piece(header, size)
    except Refused as refusal:
        assert refusal.status == 416
    else:
        assert found is None or (found.length > 0 and found.offset + found.length <= size)


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (None, None),
        ("bytes=0-0", Piece(0, 1)),
        ("bytes=2-", Piece(2, 8)),
        ("bytes=-3", Piece(7, 3)),
        ("bytes=-30", Piece(0, 10)),
        ("bytes=5-3", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
    ],
)
def test_a_range_header_means_this(header, found):
    assert piece(header, 10) == found


@given(st.text(max_size=100))
def test_any_target_is_a_path_or_refused(target):
    try:
        path, _ = split_target(target)
    except Refused as refusal:
        assert refusal.status == 400
    else:
        assert path.startswith("/") and path.isprintable()


def test_an_absolute_target_is_taken():
    assert split_target("http://host:80/a%20b?c=d") == ("/a b", "c=d")


def test_weak_tags_and_lists_of_them_match():
    assert matches('"x", W/"tag"', "tag") and matches("*", "tag")
    assert not matches('"tag2"', "tag") and not matches(None, "tag")
