"""What a signed list may say of its pieces, and signatures that are written otherwise."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bakery.node.agent import signed_list
from bakery.node.agent.errors import AgentError
from bakery.node.agent.signed_list import Here
from bakery.node.agent.write_list import Cast
from tests.node.agent.served import base, packing

OWNER = Ed25519PrivateKey.generate()
KEY = OWNER.public_key().public_bytes_raw()
MIB = 1 << 20
KEY_TEXT = bytes(range(32)).hex()


def cast_at(port: object) -> dict[str, object]:
    return {"port": port, "key": KEY_TEXT}


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Any:
    from bakery.disk.packed import packed_index

    made, _ = packing(base(tmp_path_factory.mktemp("pieces") / "base", MIB, (0,)))
    return json.loads(packed_index.encode(made))


@pytest.fixture
def listed(index):
    """A list of one piece, with these fields changed."""

    def make(count=1, **changed):
        pieces = [
            {"place": n * MIB, "frames": "http://a/b", "index": index} | changed
            for n in range(count)
        ]
        told = {
            "version": 3,
            "encrypted_to": "",
            "build": "b",
            "serial": 1,
            "node": "",
            "disk_bytes": 0,
        }
        return json.dumps(told | {"expires": 1 << 40, "pieces": pieces}).encode()

    return make


def read(content: bytes, signature: str | None = None, home: str = ""):
    made = OWNER.sign(content).hex() if signature is None else signature
    return signed_list.read(made.encode() + b"\n" + content, KEY, Here("n", 1), home)


def test_a_list_is_read(listed):
    (piece,) = read(listed(place=MIB, key=KEY_TEXT, cast=cast_at(9000))).pieces
    assert (piece.frames_url, piece.place) == ("http://a/b", MIB)
    assert (piece.key, piece.cast) == (bytes(range(32)), Cast(9000, bytes(range(32))))
    assert (read(listed()).pieces[0].key, read(listed()).pieces[0].cast) == (b"", None)


@pytest.mark.parametrize("wrong", ["", "zz" * 64, "00" * 63, "00" * 65, "é" * 128])
def test_another_signature_is_refused(listed, wrong):
    with pytest.raises(AgentError, match="not signed"):
        read(listed(), wrong)


def test_a_list_of_one_line_is_not_signed(listed):
    with pytest.raises(AgentError, match="is not signed"):
        signed_list.read(OWNER.sign(b"").hex().encode(), KEY, Here("n", 1))


@pytest.mark.parametrize(("count", "taken"), [(0, False), (1, True), (16, True), (17, False)])
def test_a_list_has_so_many_pieces(listed, count, taken):
    if taken:
        assert len(read(listed(count)).pieces) == count
    else:
        with pytest.raises(AgentError, match="too many pieces"):
            read(listed(count))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"place": -MIB}, "a piece with no place"),
        ({"place": True}, "a piece with no place"),
        ({"place": "0"}, "a piece with no place"),
        ({"frames": 7}, "a piece with no place"),
        *(({"cast": cast_at(p)}, "a multicast with no port") for p in (-1, 0, 65535, "9000", True)),
        ({"cast": 9000}, "cannot be read"),
        ({"cast": {"port": 9000}}, "cannot be read"),
        ({"cast": {"port": 9000, "key": ""}}, "a key that is none"),
        *(({"key": key}, "a key that is none") for key in ("", "ab" * 31, "AB" * 32, "ab" * 33, 7)),
        ({"frames": "ftp://a/b"}, "is not of the form"),
        ({"frames": "base.zst"}, "is not of the form"),
        ({"index": None}, "not an index"),
        ({"place": 512}, "cannot begin at byte 512"),
    ],
)
def test_a_piece_that_cannot_be_is_refused(listed, changed, reason):
    with pytest.raises(AgentError, match=reason):
        read(listed(**changed))


def test_a_port_may_be_the_last_but_one(listed):
    assert read(listed(cast=cast_at(65534))).pieces[0].cast == Cast(65534, bytes(range(32)))


def test_a_version_that_is_not_known_is_refused(listed):
    with pytest.raises(AgentError, match="unsupported version"):
        read(listed().replace(b'"version": 3', b'"version": 2'))


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("base.zst", "http://h:1/d/base.zst"),
        ("http://a/b", "http://a/b"),
    ],
)
def test_a_name_is_of_a_file_beside_the_list(listed, name, url):
    (piece,) = read(listed(frames=name), home="http://h:1/d/list").pieces
    assert piece.frames_url == url


@pytest.mark.parametrize("name", ["../a", "/a", ".a", "a/b", "", "a" * 256])
def test_a_name_that_leads_elsewhere_is_refused(listed, name):
    with pytest.raises(AgentError, match="is not of the form"):
        read(listed(frames=name), home="http://h:1/d/list")
