import pytest

from bakery.host.errors import BakeryError
from bakery.recovery import header

VERSION = b"age-encryption.org/v1"
STANZA = b"\n-> X25519 AAAA\nBBBB"


def check(tmp_path, content):
    path = tmp_path / "a"
    path.write_bytes(content)
    with path.open("rb") as file:
        file.read(1)  # wherever it stands, it is looked at from its first byte
        header.check(file)


def test_a_header_of_as_many_keys_and_bytes_as_may_be_is_taken(tmp_path):
    check(tmp_path, VERSION + STANZA * 32 + b"\n--- MAC\n")
    room = (128 << 10) - len(VERSION) - len(b"\n---")
    check(tmp_path, VERSION + b"\n" + b"A" * (room - 1) + b"\n--- MAC\n")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (VERSION + STANZA * 33 + b"\n--- MAC\n", "its key is wrapped more than 32 times"),
        (VERSION + b"\n" + b"A" * (128 << 10) + b"\n--- MAC\n", "damaged, cut short or without"),
        (VERSION + STANZA, "damaged, cut short or without end"),
        (VERSION, "damaged, cut short or without end"),
        (VERSION[:5], "damaged, cut short or without end"),
        (b"", "damaged, cut short or without end"),
        (b"age-encryption.org/v2\n", "an age file of version 'v2', and v1 is the one"),
        (b"age-encryption.org/" + b"9" * 99, "of version '" + "9" * 40 + "'"),
        (b"-----BEGIN AGE ENCRYPTED FILE-----\n", "in letters"),
        (b"hello\n", "it is not an age file"),
    ],
)
def test_what_age_may_not_read_is_refused_with_a_way_out(tmp_path, content, reason):
    with pytest.raises(BakeryError, match=reason) as refused:
        check(tmp_path, content)
    assert refused.value.hint
