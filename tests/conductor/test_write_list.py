"""The signed write list, and the keys it is signed with."""

import json
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from bakery.conductor import write_list
from bakery.host.errors import BakeryError
from bakery.node.agent import signed_list
from tests.conductor import builds

KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
TERMS = write_list.Terms(build="k1", serial=7, expires=1 << 40)
PUBLIC = KEY.public_key().public_bytes_raw()


def pem(key, secret=b""):
    seal = BestAvailableEncryption(secret) if secret else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, seal)


def test_a_list_is_json_behind_its_signature():
    made = write_list.signed([{"place": 0}], TERMS, KEY.sign)
    signature, content = made.split(b"\n", 1)
    KEY.public_key().verify(bytes.fromhex(signature.decode()), content)
    told = json.loads(content)
    assert (told["version"], told["pieces"]) == (3, [{"place": 0}])
    assert (told["build"], told["serial"], told["expires"]) == ("k1", 7, 1 << 40)


def test_the_terms_of_a_list_that_is_made_now(tmp_path):
    build, before = builds.build(tmp_path / "build"), int(time.time())
    terms = write_list.terms(build, "node-1", 512, days=3)
    assert (terms.build, terms.node, terms.disk_bytes) == ("k1", "node-1", 512)
    assert before <= terms.serial / 1000 <= time.time()
    assert terms.expires == terms.serial // 1000 + 3 * 86400
    assert terms.encrypted_to == ""
    assert write_list.terms(build, encrypted_to=b"\xab").encrypted_to == "ab"


def test_the_later_of_two_lists_of_one_second_has_the_higher_serial(tmp_path, monkeypatch):
    build, now = builds.build(tmp_path / "build"), iter((1000.25, 1000.75))
    monkeypatch.setattr("bakery.conductor.write_list.time.time", lambda: next(now))
    assert write_list.terms(build).serial < write_list.terms(build).serial


def test_a_whole_disk_is_one_piece_from_the_first_byte_which_the_node_understands(tmp_path):
    build = builds.with_packed_base(builds.build(tmp_path / "build", "disk"))
    made = write_list.of_whole_disk(build, TERMS, KEY)
    listed = signed_list.read(made, PUBLIC, signed_list.Here("any", 512), "http://x/a.plan")
    (piece,) = json.loads(made.split(b"\n", 1)[1])["pieces"]
    assert (piece["place"], piece["frames"]) == (0, "sample-base.zst")
    assert listed


@pytest.mark.parametrize("layout", ["pv", "lv"])
def test_a_partition_is_refused_with_the_way_to_a_disk(tmp_path, layout):
    build = builds.with_packed_base(builds.build(tmp_path / "build", layout))
    with pytest.raises(BakeryError, match=f"has layout {layout}") as caught:
        write_list.of_whole_disk(build, TERMS, KEY)
    assert "--layout disk --compress zstd" in caught.value.hint


# Of 33 bytes, where an Ed25519 key has 32 (RFC 8410, 7).
DAMAGED = b"""-----BEGIN PRIVATE KEY-----
MC8CAQAwBQYDK2VwBCMEIQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fIA==
-----END PRIVATE KEY-----
"""


def test_a_key_is_read(tmp_path):
    (tmp_path / "key").write_bytes(pem(KEY))
    assert write_list.read_key(tmp_path / "key").public_key().public_bytes_raw() == PUBLIC


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no key", "is not an unencrypted private key"),
        (pem(KEY, b"secret"), "is not an unencrypted private key"),
        (DAMAGED, "is not an unencrypted private key: it is damaged"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "is not an Ed25519 key"),
    ],
)
def test_whatever_else_a_key_file_holds_is_told_with_the_way_to_one(tmp_path, content, words):
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(BakeryError, match=words) as caught:
        write_list.read_key(tmp_path / "key")
    assert "openssl genpkey -algorithm ed25519" in caught.value.hint


def test_a_key_that_is_not_there_is_told(tmp_path):
    with pytest.raises(BakeryError, match="none cannot be read: No such file"):
        write_list.read_key(tmp_path / "none")
