import hashlib

import pytest

from bakery.node.agent.errors import AgentError
from bakery.node.agent.image import Chunk, Index
from bakery.node.agent.layout import CHUNK
from bakery.node.agent.write_list import Piece, WriteList

CONTENT = b"content"


def piece(place: int, size: int, *numbers: int, name: str = "a") -> Piece:
    digest = hashlib.sha256(CONTENT).digest()
    chunks = tuple(Chunk(n, 100 * n, 100, digest, b"") for n in numbers)
    return Piece(f"http://a/{name}", Index(size, name, chunks), place)


def test_chunks_are_numbered_over_all_pieces_in_the_order_of_their_places():
    table, image = piece(0, 512, 0, name="table"), piece(2 * CHUNK, 3 * CHUNK + 7, 0, 3)
    listed = WriteList([image, table])
    assert listed.pieces == [table, image]
    assert listed.count == 1 + 4
    assert [(work.number, work.at, work.length) for work in listed.head] == [(0, 0, 512)]
    rest = [(work.number, work.at, work.length) for work in listed.rest]
    assert rest == [(1, 2 * CHUNK, CHUNK), (4, 5 * CHUNK, 7)]
    assert [work.url for work in listed.rest] == ["http://a/a"] * 2
    assert listed.end == 5 * CHUNK + 7
    assert listed.data_bytes == CHUNK + 7
    assert list(listed.holes()) == [(3 * CHUNK, 5 * CHUNK)]


def test_a_chunk_in_the_first_mib_is_of_the_head():
    listed = WriteList([piece(0, 3 * CHUNK, 0, 1, 2)])
    assert [work.number for work in listed.head] == [0]
    assert [work.number for work in listed.rest] == [1, 2]


@pytest.mark.parametrize(
    ("places", "wrong"),
    [((512,), 512), ((CHUNK + 1,), CHUNK + 1), ((0, CHUNK), CHUNK), ((0, 0), 0)],
)
def test_pieces_that_lie_over_one_another_or_askew_are_refused(places, wrong):
    with pytest.raises(AgentError, match=f"an image cannot begin at byte {wrong}"):
        WriteList([piece(place, CHUNK + 1) for place in places])


def test_pieces_may_touch():
    assert WriteList([piece(0, CHUNK), piece(CHUNK, 5)]).end == CHUNK + 5
    assert WriteList([]).end == 0


def test_the_same_content_in_the_same_places_is_the_same():
    one = WriteList([piece(0, CHUNK, name="b"), piece(2 * CHUNK, 5)]).identity
    assert one == WriteList([piece(2 * CHUNK, 5), piece(0, CHUNK, name="b")]).identity
    assert one != WriteList([piece(0, CHUNK, name="b"), piece(3 * CHUNK, 5)]).identity
    assert one != WriteList([piece(0, CHUNK, name="c"), piece(2 * CHUNK, 5)]).identity


def test_a_chunk_knows_its_content():
    (work,) = WriteList([piece(CHUNK, 7, 0)]).rest
    assert work.holds(CONTENT)
    assert work.holds(memoryview(CONTENT))
    assert not work.holds(CONTENT + b"\0")
