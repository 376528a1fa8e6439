import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.netboot.http_message import Piece, Refused, masked, matches, piece, split_target


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


@pytest.mark.parametrize(
    ("header", "size", "found"),
    [
        ("bytes=0-0", 10, (0, 1)),
        ("bytes=9-", 10, (9, 1)),
        ("bytes=9-9", 10, (9, 1)),
        (" bytes=3-100 ", 10, (3, 7)),
        ("bytes=-10", 10, (0, 10)),
        ("bytes=-11", 10, (0, 10)),
        ("bytes=-1", 10, (9, 1)),
        ("bytes=5-4", 10, None),
        ("bytes=0-1,3-4", 10, None),
        ("items=0-1", 10, None),
        ("", 10, None),
        (None, 10, None),
    ],
)
def test_a_range_is_these_bytes(header, size, found):
    got = piece(header, size)
    assert (got and (got.offset, got.length)) == found


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=10-", 10), ("bytes=10-12", 10), ("bytes=-0", 10), ("bytes=0-", 0)]
)
def test_a_range_of_which_nothing_is_there_is_refused_with_the_size(header, size):
    with pytest.raises(Refused) as refused:
        piece(header, size)
    assert refused.value.status == 416
    assert refused.value.headers == {"Content-Range": f"bytes */{size}"}


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/a?b=c?d", "/a", "b=c?d"),
        ("/a%20b", "/a b", ""),
        ("HTTP://host:80/a/b", "/a/b", ""),
        ("http://host", "/", ""),
        ("/" + "a" * 1023, "/" + "a" * 1023, ""),
    ],
)
def test_a_target_is_a_path_and_a_query(target, path, query):
    assert split_target(target) == (path, query)


@pytest.mark.parametrize("target", ["a", "*", "", "/%ff", "/%0a", "/" + "a" * 1024])
def test_a_target_that_is_no_path_is_refused(target):
    with pytest.raises(Refused) as refused:
        split_target(target)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("header", "found"),
    [(None, False), ("", False), ("*", True), ('"t"', True), ('W/"t"', True), ("t", False)],
)
def test_a_tag_is_matched_with_its_quotes(header, found):
    assert matches(header, "t") == found


@pytest.mark.parametrize("scheme", ["http", "https", "HTTPS"])
def test_a_target_may_name_the_server(scheme):
    assert split_target(f"{scheme}://host:80/a?b") == ("/a", "b")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/media/0123abcd/node.iso", "/media/******/node.iso"),
        ("//media//0123abcd/node.iso", "//media//******/node.iso"),
        ("/media/0123abcd", "/media/******"),
        ("http://host/media/0123abcd/node.iso", "http://host/media/******/node.iso"),
        ("/media/", "/media/"),
        ("/mediated/0123abcd", "/mediated/0123abcd"),
        ("/v1/nodes/0123abcd", "/v1/nodes/0123abcd"),
    ],
)
def test_a_secret_in_a_path_is_not_told(path, told):
    assert masked(path) == told
