"""The packets of one TFTP transfer, without a wire."""

import io
import struct

import pytest

from bakery.netboot.tftp_transfer import Broken, Transfer
from bakery.netboot.tree import Opened


def transfer(content: bytes, *, size: int | None = None, **options: int) -> Transfer:
    size = len(content) if size is None else size
    return Transfer(Opened(io.BytesIO(content), size, "tag"), options)


def ack(number: int) -> bytes:
    return struct.pack("!HH", 4, number)


def data(number: int, content: bytes) -> bytes:
    return struct.pack("!HH", 3, number) + content


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 15, 16, 17])
def test_a_file_arrives_and_its_last_block_is_short(size):
    content = bytes(range(size))
    sending = transfer(content, blksize=8)
    assert sending.packet == b"\0\6blksize\x008\0"
    assert sending.take(ack(0))
    blocks = [sending.packet]
    while sending.take(ack(len(blocks))):
        blocks.append(sending.packet)
    assert sending.done
    assert b"".join(block[4:] for block in blocks) == content
    assert [len(block) - 4 for block in blocks] == [8] * (size // 8) + [size % 8]


def test_the_size_is_told_only_where_it_is_asked_for():
    assert transfer(bytes(9), tsize=0).packet == b"\0\6tsize\x009\0"
    assert transfer(bytes(9)).packet == data(1, bytes(9))


def test_an_acknowledgement_of_an_earlier_block_sends_nothing():
    sending = transfer(bytes(20), blksize=8)
    sending.take(ack(0))
    sending.take(ack(1))
    for number in (0, 1, 3, 65535):
        assert not sending.take(ack(number))
    assert sending.packet == data(2, bytes(8))
    assert not sending.done


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"", "malformed"),
        (b"\0\4\0", "malformed"),
        (b"\0\6blksize", "malformed"),
        (b"\0\5\0\0User aborted\0", "gave up: User aborted"),
        (b"\0\5\0\3", "gave up: error 3"),
    ],
)
def test_what_is_no_acknowledgement_ends_it(packet, reason):
    with pytest.raises(Broken, match=reason):
        transfer(bytes(9)).take(packet)


def test_a_file_that_became_shorter_is_no_whole_one():
    sending = transfer(bytes(12), size=20, blksize=8)
    sending.take(ack(0))
    with pytest.raises(Broken, match="shrunk"):
        sending.take(ack(1))


def test_a_file_that_grew_is_sent_as_long_as_it_was():
    sending = transfer(bytes(12), size=9, blksize=8)
    sending.take(ack(0))
    sending.take(ack(1))
    assert sending.packet == data(2, bytes(1))
    assert not sending.take(ack(2))
    assert sending.done
