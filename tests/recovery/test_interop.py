"""The age program opens what bakery seals, and bakery what it seals (Debian's package `age`)."""

import subprocess
from pathlib import Path

import pytest
import zstandard

from bakery.recovery.seal import sealing
from tests.recovery import pairs
from tests.recovery.pairs import Pair, files, read, sealed
from tests.recovery.test_archive import EVERYTHING

CONTENT = pairs.tar(EVERYTHING)


def run(*argv: str | Path, stdin: bytes = b"") -> bytes:
    return subprocess.run(argv, input=stdin, check=True, capture_output=True).stdout


@pytest.fixture
def openssl(tmp_path: Path) -> Pair:
    """A pair by openssl."""
    pair = Pair(tmp_path / "openssl.pub", tmp_path / "openssl.key")
    words = ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
    run("openssl", "genpkey", "-quiet", *words, "-out", pair.private)
    run("openssl", "pkey", "-in", pair.private, "-pubout", "-out", pair.public)
    return pair


@pytest.fixture
def ssh(rsa: Pair) -> Pair:
    """A pair in ssh's own format."""
    return Pair(rsa.public.with_suffix(".ssh.pub"), rsa.private.with_suffix(".ssh.key"))


KINDS = ["age", "rsa", "openssl", "ssh"]


@pytest.mark.parametrize("kind", KINDS)
def test_age_opens_what_bakery_seals(kind: str, request: pytest.FixtureRequest, tmp_path: Path):
    pair = request.getfixturevalue(kind)
    archive = sealed(tmp_path / "a", CONTENT, pair)
    packed = run("age", "-d", "-i", pair.private, archive)
    assert run("zstd", "-dc", stdin=packed) == CONTENT
    listed = run("tar", "-t", stdin=CONTENT).decode().splitlines()
    assert [name for name in listed if "etc" in name] == [
        "etc/",
        "etc/shadow",
        "etc/empty",
        "etc/again",
        "etc/mtab",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_bakery_opens_what_age_seals(kind: str, request: pytest.FixtureRequest, tmp_path: Path):
    pair = request.getfixturevalue(kind)
    line = pair.public
    if kind in ("rsa", "openssl"):  # age takes a public RSA key as ssh writes it
        line = tmp_path / "line"
        line.write_bytes(run("ssh-keygen", "-i", "-m", "PKCS8", "-f", pair.public))
    packed = run("zstd", "-c", stdin=CONTENT)
    (tmp_path / "a").write_bytes(run("age", "-R", line, stdin=packed))
    assert read(tmp_path / "a", pair) == CONTENT


def test_bakery_opens_what_age_seals_for_several(rsa: Pair, age: Pair, ssh: Pair, tmp_path: Path):
    packed = zstandard.compress(CONTENT)
    both = run("age", "-R", ssh.public, "-R", age.public, stdin=packed)
    (tmp_path / "a").write_bytes(both)
    assert read(tmp_path / "a", rsa) == read(tmp_path / "a", age) == CONTENT


def test_a_recipient_can_be_spelled(age: Pair, tmp_path: Path):
    with sealing(tmp_path / "a", Path(age.public.read_text().strip())) as stream:
        stream.write(files(("a", b"b")))
    assert read(tmp_path / "a", age) == files(("a", b"b"))
