from typing import NamedTuple

import pytest

from bakery.node.agent.layout import HEAD, Layout

MIB = 1 << 20


class Part(NamedTuple):
    number: int
    at: int
    length: int


def test_the_head_is_what_lies_in_the_first_mib():
    parts = [Part(0, 0, 512), Part(1, HEAD - 4096, 4096), Part(2, HEAD, 10), Part(3, 2 * MIB, 5)]
    layout = Layout([(0, 3 * MIB)], parts)
    assert (layout.head, layout.rest) == (parts[:2], parts[2:])
    assert (layout.data_bytes, layout.end) == (15, 3 * MIB)


@pytest.mark.parametrize(
    ("spans", "parts", "holes"),
    [
        ([], [], []),
        ([(0, 512)], [], []),
        ([(0, MIB)], [], []),
        ([(0, MIB + 1)], [], [(MIB, MIB + 1)]),
        ([(MIB, 3 * MIB)], [(MIB, MIB)], [(2 * MIB, 3 * MIB)]),
        ([(MIB, 3 * MIB)], [(2 * MIB, MIB)], [(MIB, 2 * MIB)]),
        ([(MIB, 3 * MIB)], [(MIB, MIB), (2 * MIB, MIB)], []),
        (
            [(MIB, 2 * MIB), (2 * MIB, 3 * MIB)],
            [(2 * MIB, 7)],
            [(MIB, 2 * MIB), (2 * MIB + 7, 3 * MIB)],
        ),
        ([(0, 2 * MIB), (4 * MIB, 5 * MIB)], [(4 * MIB, MIB)], [(MIB, 2 * MIB)]),
    ],
)
def test_holes_are_what_the_parts_leave_of_the_pieces(spans, parts, holes):
    layout = Layout(spans, [Part(n, *where) for n, where in enumerate(parts)])
    assert list(layout.holes()) == holes
