import pytest

from bakery.host.errors import BakeryError
from bakery.recovery import records


def record(key, value):
    """One record with its own length in front."""
    body = b" " + key + b"=" + value + b"\n"
    length = len(body)
    while length != len(b"%d" % length) + len(body):
        length += 1
    return b"%d" % length + body


def test_records_are_taken_by_their_keys():
    content = (
        record(b"path", b"a") + record(b"SCHILY.xattr.user.a", b"\0=\n") + record(b"uid", b"7")
    )
    assert records.parse(content) == {b"path": b"a", b"SCHILY.xattr.user.a": b"\0=\n", b"uid": b"7"}
    assert records.parse(b"") == {}
    assert records.parse(record(b"BAKERY.x", b"")) == {b"BAKERY.x": b""}


@pytest.mark.parametrize(
    ("key", "good", "wrong"),
    [
        (b"path", b"n\n" * 99, b""),
        (b"linkpath", b"a", b"a\0"),
        (b"size", b"9" * 19, b"9" * 20),
        (b"gid", b"0", b"-1"),
        (b"mtime", b"-123456789012.5", b"1234567890123"),
        (b"atime", b"1." + b"0" * 30, b"1." + b"0" * 31),
        (b"ctime", b"1", b"1."),
        (b"uname", b"u" * 256, b"u" * 257),
        (b"gname", b"", b"\0"),
        (b"hdrcharset", b"BINARY", b"UTF-8"),
    ],
)
def test_each_known_key_has_its_form(key, good, wrong):
    assert records.parse(record(key, good)) == {key: good}
    with pytest.raises(BakeryError, match=f"a senseless extended header '{key.decode()}'"):
        records.parse(record(key, wrong))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"10 path=a\n" + b"x", "is malformed"),
        (b"0 path=a\n", "is malformed"),
        (b"10path=a\n", "is malformed"),
        (b"11 path=a\n", "has a wrong length"),
        (b"8 path=a\n", "has a wrong length"),
        (b"8 path=\n", "has a senseless extended header 'path'"),
        (b"7 path=\n", "has a wrong length"),
        (record(b"path", b"a") * 2, "has the extended header 'path' twice"),
        (record(b"BAKERY.a", b"") * 2, "has the extended header 'BAKERY.a' twice"),
        (record(b"GNU.sparse.major", b"1"), "has an extended header 'GNU.sparse.major'"),
        (record(b"k" * 300, b"1"), f"has an extended header '{'k' * 80}'"),
        (record(b"k" * 301, b"1"), "is malformed"),
    ],
)
def test_what_is_no_record_of_bakerys_is_refused(content, reason):
    with pytest.raises(BakeryError, match=reason) as refused:
        records.parse(content)
    assert refused.value.hint == records.NOT_OURS
