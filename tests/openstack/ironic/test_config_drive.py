"""The file of a config drive: plain, gzipped, or that in base64, it is the same drive."""

import base64
import gzip
import random

import pytest

from bakery.host.errors import BakeryError
from bakery.openstack.ironic import config_drive
from bakery.openstack.ironic.records import NodeThere

ISO = bytes(32768) + b"\x01CD001\x01" + bytes(30000)
PACKED = gzip.compress(ISO, mtime=0)
TEXT = base64.b64encode(PACKED)


@pytest.fixture
def drive(tmp_path):
    def of(content):
        path = tmp_path / "drive"
        path.write_bytes(content)
        return path

    return of


@pytest.mark.parametrize(
    "content",
    [
        ISO,
        PACKED,
        TEXT,
        TEXT + b"\n",
        base64.encodebytes(PACKED),
        gzip.compress(ISO[:500], mtime=0) + gzip.compress(ISO[500:], mtime=0),
    ],
    ids=["plain", "gzip", "base64", "line", "lines", "two members"],
)
def test_a_drive_is_packed_once_however_it_comes(drive, content):
    sent = config_drive.packed(drive(content))
    assert gzip.decompress(base64.b64decode(sent, validate=True)) == ISO


@pytest.mark.parametrize("content", [PACKED, TEXT])
def test_what_is_packed_goes_as_it_is(drive, content):
    assert config_drive.packed(drive(content)) == TEXT.decode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (PACKED[:-9], "is broken gzip"),
        (PACKED[:-8] + bytes(8), "is broken gzip: CRC"),
        (PACKED + b"more", "is broken gzip"),
        (b"\x1f\x8b\x08", "is broken gzip"),
        (TEXT[:-1], "is broken base64"),
        (TEXT + b"!", "is broken base64"),
        (base64.b64encode(PACKED[:-9]), "is broken gzip"),
        (b'{"meta_data": {}}', "is JSON, not a config drive"),
    ],
)
def test_what_is_no_drive_is_refused(drive, content, reason):
    with pytest.raises(BakeryError, match=reason):
        config_drive.packed(drive(content))


@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, lambda d: base64.b64encode(gzip.compress(d))]
)
@pytest.mark.parametrize("kind", ["packs well", "does not pack"])
def test_a_drive_has_64_mib_at_most_whatever_it_packs_to(drive, pack, kind):
    largest = bytes(1 << 20) if kind == "packs well" else random.Random(1).randbytes(1 << 20)
    sent = config_drive.packed(drive(pack(largest)), limit_bytes=1 << 20)
    assert gzip.decompress(base64.b64decode(sent)) == largest
    with pytest.raises(BakeryError, match="larger than a config drive may be, 1 MiB"):
        config_drive.packed(drive(pack(largest + b"\0")), limit_bytes=1 << 20)
    assert config_drive.LIMIT_BYTES == 64 << 20


def test_a_drive_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(BakeryError, match=r"config drive .*gone cannot be read"):
        config_drive.packed(tmp_path / "gone")


def test_a_drive_packs_to_the_same_at_any_time(drive):
    assert config_drive.packed(drive(ISO)) == TEXT.decode()


def test_a_node_tells_whether_it_has_one():
    def has(fields):
        return config_drive.is_on(NodeThere(uuid="u", fields=fields))

    assert has({"instance_info": {"configdrive": ""}})
    assert not any(
        map(has, ({}, {"instance_info": None}, {"instance_info": {"image_source": "x"}}))
    )
