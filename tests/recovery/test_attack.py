"""Archives that were altered: each is refused by one error, and nothing is given out."""

import functools
import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from bakery.host.errors import BakeryError
from bakery.recovery import keys
from bakery.recovery.open import opened
from tests.recovery.pairs import CHUNK_BYTES, TAG_BYTES, Pair, files, sealed

SEALED_CHUNK = CHUNK_BYTES + TAG_BYTES
CONTENT = files(("etc/ssh/key", random.Random(5).randbytes(3 * CHUNK_BYTES + 1000)), ("b", b"c"))
Mutation = tuple[str, bytes]


def parts(archive: bytes) -> tuple[bytes, bytes, list[bytes]]:
    """Header, nonce and chunks."""
    start = archive.index(b"\n--- ")
    start = archive.index(b"\n", start + 1) + 1
    first = start + 16
    bounds = [*range(first, len(archive), SEALED_CHUNK), len(archive)]
    return archive[:start], archive[start:first], [archive[a:b] for a, b in pairwise(bounds)]


def flipped(archive: bytes) -> Iterator[Mutation]:
    """Bits of every line of the header, of the nonce, and of each chunk's ends and its tag."""
    header, nonce, chunks = parts(archive)
    chance = random.Random(1)
    at = [*range(0, len(header), 9), len(header) - 1, len(header), len(header) + len(nonce) - 1]
    start = len(header) + len(nonce)
    for chunk in chunks:
        at += [start, start + len(chunk) // 2, start + len(chunk) - TAG_BYTES]
        start += len(chunk)
    at.append(len(archive) - 1)
    for place in at:
        bit = 1 << chance.randrange(8)
        data = bytearray(archive)
        data[place] ^= bit
        yield f"byte {place} ^ {bit}", bytes(data)


def cut(archive: bytes) -> Iterator[Mutation]:
    """Cut short, and at its front."""
    header, nonce, _ = parts(archive)
    start = len(header) + len(nonce)
    places = {0, 1, 21, 22, len(header) - 1, len(header), len(header) + 15, start, start + 1}
    places |= {start + number * SEALED_CHUNK + d for number in range(4) for d in (-1, 0, 1, 16)}
    places |= {len(archive) - short for short in (1, 15, 16, 17, 1000)}
    for place in sorted(places):
        yield f"the first {place}", archive[:place]
    for place in (1, 22, len(header), start, start + SEALED_CHUNK):
        yield f"without the first {place}", archive[place:]


def moved(archive: bytes) -> Iterator[Mutation]:
    """Chunks swapped, doubled, dropped; lines of the header likewise."""
    header, nonce, chunks = parts(archive)

    def of(*order: int) -> bytes:
        return header + nonce + b"".join(chunks[number] for number in order)

    yield "swapped", of(1, 0, 2, 3)
    yield "swapped at the end", of(0, 1, 3, 2)
    yield "the first dropped", of(1, 2, 3)
    yield "one dropped", of(0, 2, 3)
    yield "the last dropped", of(0, 1, 2)
    yield "doubled", of(0, 0, 1, 2, 3)
    yield "the last doubled", of(0, 1, 2, 3, 3)
    yield "no chunk", of()
    lines = header.splitlines(keepends=True)
    for number, line in enumerate(lines):
        for name, new in {
            "dropped": [],
            "doubled": [line, line],
            "blank before": [b"\n", line],
            "CRLF": [line[:-1] + b"\r\n"],
            "blank after": [line[:-1] + b" \n"],
            "padded": [line[:-1] + b"=\n"],
        }.items():
            changed = b"".join([*lines[:number], *new, *lines[number + 1 :]])
            yield f"line {number} {name}", changed + nonce + b"".join(chunks)
    yield (
        "a stanza added",
        header.replace(b"\n---", b"\n-> X25519 AA\n\n---") + archive[len(header) :],
    )
    yield (
        "a stanza of another kind added",
        header.replace(b"\n---", b"\n-> a b\n\n---") + archive[len(header) :],
    )


def appended(archive: bytes) -> Iterator[Mutation]:
    """Bytes at its end, and at its front."""
    for extra in (b"\0", b"\n", bytes(16), bytes(CHUNK_BYTES), bytes(200_000), archive):
        yield f"{len(extra)} more", archive + extra
    yield "a blank before", b" " + archive
    yield "a line before", b"\n" + archive


def replaced(archive: bytes) -> Iterator[Mutation]:
    """Something else altogether, or of another version."""
    yield "nothing", b""
    yield "zeros", bytes(len(archive))
    yield "text", b"hello\n" * 100
    yield "the tar itself", CONTENT
    for version in (b"v2", b"v10", b"V1", b"v1 ", b"", b"v1" * 5000):
        yield f"version {version[:9]!r}", archive.replace(b"/v1\n", b"/" + version + b"\n", 1)
    yield "armor", b"-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n-----END AGE ENCRYPTED FILE-----\n"
    stanza = b"-> X25519 " + b"A" * 43 + b"\n" + b"A" * 43 + b"\n"
    yield "endless stanzas", b"age-encryption.org/v1\n" + stanza * 50_000
    yield "an endless stanza", b"age-encryption.org/v1\n-> a\n" + (b"A" * 64 + b"\n") * 50_000
    yield "an endless line", b"age-encryption.org/v1\n-> " + b"a" * 1_000_000
    zero = b"-> X25519 " + b"A" * 43 + b"\n" + b"A" * 43 + b"\n--- " + b"A" * 43 + b"\n"
    yield "a share of low order", b"age-encryption.org/v1\n" + zero + archive[-1000:]


GROUPS: list[Callable[[bytes], Iterator[Mutation]]] = [flipped, cut, moved, appended, replaced]


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_whatever_was_altered_is_refused_before_anything_is_given_out(
    group: Callable[[bytes], Iterator[Mutation]],
    pair: Pair,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    # A key is checked as it is read, which takes 50 ms; once will do.
    monkeypatch.setattr(keys, "private_key", functools.cache(keys.private_key))
    archive = sealed(tmp_path / "archive", CONTENT, pair).read_bytes()
    count = 0
    for name, data in group(archive):
        assert data != archive, name
        altered = tmp_path / "altered"
        altered.write_bytes(data)
        with pytest.raises(BakeryError) as raised, opened(altered, pair.private):
            pytest.fail(f"{name}: it was opened")
        error = raised.value
        assert error.message.startswith(f"{altered} cannot be opened as a recovery archive: "), name
        assert error.hint and "\n" not in error.message, name
        count += 1
    assert count >= 8


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("the last dropped", "altered or cut short, .* after 196608 bytes: unexpected EOF"),
        ("the last doubled", "was altered or cut short, which age saw after 196608 bytes"),
        ("swapped", "was altered or cut short, which age saw after 0 bytes"),
        ("no chunk", "altered or cut short"),
        ("version b'v2'", "version 'v2'"),
        ("armor", "in letters"),
        ("text", "it is not an age file"),
        ("a stanza of another kind added", "altered or cut short, .*: bad header MAC"),
        ("endless stanzas", "more than 32 times"),
    ],
)
def test_the_reason_is_told(name: str, reason: str, age: Pair, tmp_path: Path):
    archive = sealed(tmp_path / "archive", CONTENT, age).read_bytes()
    mutations = dict(pair for group in (moved, replaced) for pair in group(archive))
    (tmp_path / "altered").write_bytes(mutations[name])
    with (
        pytest.raises(BakeryError, match=reason),
        opened(tmp_path / "altered", age.private),
    ):
        pass
