"""Frames cut out of what is multicast."""

import io

import pytest

from bakery.node.agent.image import Chunk
from bakery.node.agent.multicast import SKIP_BYTES, _cut
from bakery.node.agent.write_list import Work


def work(number: int, offset: int, length: int) -> Work:
    return Work(number, "http://a/b", Chunk(number, offset, length, b"", b""), 0, length)


CONTENT = bytes(range(100))
WORKS = [work(0, 0, 10), work(1, 10, 5), work(3, 40, 20)]


def cut(content: bytes, works: list[Work] = WORKS) -> list[tuple[int, bytes]]:
    return [(one.number, frame) for one, frame in _cut(works, io.BytesIO(content))]


def test_a_frame_is_what_lies_at_its_place():
    assert cut(CONTENT) == [(0, CONTENT[:10]), (1, CONTENT[10:15]), (3, CONTENT[40:60])]


@pytest.mark.parametrize(("there", "whole"), [(60, 3), (59, 2), (40, 2), (39, 2), (15, 2), (14, 1)])
def test_what_breaks_off_ends_it_at_the_last_whole_frame(there, whole):
    assert len(cut(CONTENT[:there])) == whole


def test_what_nobody_needs_is_passed_over_in_pieces():
    far = 2 * SKIP_BYTES + 7
    stream = io.BytesIO(bytes(far) + b"frame")
    assert [frame for _, frame in _cut([work(9, far, 5)], stream)] == [b"frame"]
