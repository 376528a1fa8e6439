import base64
import hashlib
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.manifest import manifest
from bakery.openstack.glance import embedded

MANIFEST = b'{"version": 1, "name": "tiny"}\n'


def incompressible(size: int) -> bytes:
    return random.Random(4).randbytes(size)


def properties_of(packed: bytes, size: int, *, pieces: int = 1, sha256: str = "") -> dict[str, str]:
    return {
        embedded.HEAD: f"zlib:{size}:{pieces}",
        embedded.SHA256: sha256,
        f"{embedded.HEAD}_1": base64.b64encode(packed).decode(),
    }


@given(st.binary(max_size=5000))
def test_what_was_packed_comes_back_byte_for_byte(content):
    assert embedded.unpack(embedded.pack(content)) == content


def test_other_properties_of_the_image_do_not_matter():
    packed = embedded.pack(MANIFEST) | {
        "kernel_id": "x",
        "bakery_manifest_99": "!",
        "os_distro": "",
    }
    assert embedded.unpack(packed) == MANIFEST


def test_a_large_manifest_goes_into_pieces_that_fit_a_column():
    content = incompressible(500_000)
    packed = embedded.pack(content)
    assert embedded.unpack(packed) == content
    assert len(packed) > 10
    assert all(len(value.encode()) <= 60_000 for value in packed.values())


def test_what_does_not_fit_is_refused_before_it_is_sent():
    with pytest.raises(BakeryError, match="too large to travel"):
        embedded.pack(incompressible(4_000_000))


def test_a_short_manifest_in_many_bytes_is_refused_too():
    with pytest.raises(BakeryError, match="too large to travel"):
        embedded.pack(b" " * (manifest.SIZE_LIMIT_BYTES + 1))


def test_the_names_of_a_manifest_are_told_apart_from_others():
    packed = embedded.pack(incompressible(100_000))
    others = ["bakery_role", "bakery_manifest_", "bakery_manifest_x", "bakery_manifesto", "name"]
    assert embedded.names([*packed, *others]) == set(packed)


def test_the_digest_is_that_of_the_manifest_file():
    assert embedded.pack(MANIFEST)[embedded.SHA256] == hashlib.sha256(MANIFEST).hexdigest()


def test_an_image_without_a_manifest_is_said_to_have_none():
    with pytest.raises(BakeryError, match="carries no manifest"):
        embedded.unpack({"bakery_role": "base"})


@pytest.mark.parametrize(
    "head",
    [
        "",
        "zstd:30:1",
        "zlib:30",
        "zlib:-1:1",
        "zlib:30:0",
        "zlib:30:65",
        "zlib:30:999",
        "zlib:999999999:1",
        "zlib:9999999999:1",
        "zlib:30:1\n",
        "zlib:³0:1",
        "x" * 1_000_000,
    ],
)
def test_a_head_that_is_not_as_written_is_refused_in_a_short_line(head):
    with pytest.raises(BakeryError, match="manifest is damaged") as caught:
        embedded.unpack(embedded.pack(MANIFEST) | {embedded.HEAD: head})
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("piece", ["", "AAAA", "%%%%", "é" * 8, "A" * 60_001])
def test_a_piece_that_is_damaged_is_refused(piece):
    with pytest.raises(BakeryError, match="manifest is damaged"):
        embedded.unpack(embedded.pack(MANIFEST) | {f"{embedded.HEAD}_1": piece})


def test_a_piece_that_is_missing_is_named():
    packed = embedded.pack(incompressible(100_000))
    del packed[f"{embedded.HEAD}_2"]
    with pytest.raises(BakeryError, match="bakery_manifest_2 is missing"):
        embedded.unpack(packed)


def test_a_changed_byte_is_seen_by_the_digest():
    changed = MANIFEST.replace(b"tiny", b"tini")
    packed = embedded.pack(MANIFEST) | {
        f"{embedded.HEAD}_1": embedded.pack(changed)[f"{embedded.HEAD}_1"]
    }
    with pytest.raises(BakeryError, match="digest"):
        embedded.unpack(packed)


def test_a_missing_digest_is_refused():
    packed = embedded.pack(MANIFEST)
    del packed[embedded.SHA256]
    with pytest.raises(BakeryError, match="digest"):
        embedded.unpack(packed)


def test_a_bomb_is_stopped_where_the_head_said_the_end_is(monkeypatch):
    made = []
    real = zlib.decompressobj

    class Watched:
        def __init__(self):
            self.stream = real()
            self.eof, self.unused_data = False, b""

        def decompress(self, packed, limit):
            content = self.stream.decompress(packed, limit)
            made.append(len(content))
            return content

    monkeypatch.setattr(zlib, "decompressobj", Watched)
    with pytest.raises(BakeryError, match="manifest is damaged"):
        embedded.unpack(properties_of(zlib.compress(bytes(30_000_000)), 100))
    assert made == [101]


def test_bytes_behind_the_stream_are_refused():
    packed = zlib.compress(MANIFEST) + b"more"
    sha256 = hashlib.sha256(MANIFEST).hexdigest()
    with pytest.raises(BakeryError, match="manifest is damaged"):
        embedded.unpack(properties_of(packed, len(MANIFEST), sha256=sha256))


def test_a_stream_that_is_cut_is_refused():
    packed = zlib.compress(MANIFEST)[:-5]
    with pytest.raises(BakeryError, match="manifest is damaged"):
        embedded.unpack(properties_of(packed, len(MANIFEST)))


def test_a_manifest_may_be_as_large_as_the_limits(monkeypatch):
    content = random.Random(1).randbytes(embedded.PIECE_CHARACTERS)  # two pieces in base64
    monkeypatch.setattr(embedded, "PIECES_LIMIT", 2)
    monkeypatch.setattr(manifest, "SIZE_LIMIT_BYTES", len(content))
    assert embedded.unpack(embedded.pack(content)) == content
    for module, name, less in (
        (embedded, "PIECES_LIMIT", 1),
        (manifest, "SIZE_LIMIT_BYTES", len(content) - 1),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, less)
            with pytest.raises(BakeryError, match="too large to travel"):
                embedded.pack(content)
