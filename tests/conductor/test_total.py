"""How far several nodes are together."""

from bakery.conductor.total import STEP, Total
from bakery.host.report import Event, Report


def told(nodes: int, *events: Event) -> list[Event]:
    """What is told of all nodes when they tell `events`."""
    said: list[Event] = []
    with Total(Report(said.append), nodes) as total:
        for event in events:
            total.take(event)
    return said


def writing(node: int, done_bytes: int, total_bytes: int = 100) -> Event:
    return Event("progress", f"node-{node} writing", "", done_bytes, total_bytes)


def test_the_sum_counts_nodes_that_have_not_begun():
    first, *_, last = told(3, writing(1, 50), writing(2, 100), writing(1, 100), writing(3, 100))
    assert (first.kind, first.step) == ("started", STEP)
    assert (last.kind, last.done_bytes, last.total_bytes) == ("finished", 300, 300)
    assert last.text.startswith("3 of 3 nodes")


def test_a_node_that_is_tried_again_begins_again():
    *_, last = told(2, writing(1, 90), writing(2, 100), writing(1, 10))
    assert (last.done_bytes, last.total_bytes) == (110, 200)


def test_one_node_alone_has_no_sum():
    assert told(1, writing(1, 50)) == []


def test_only_what_is_written_counts():
    other = Event("progress", "node-1 verifying", "", 50, 100)
    assert told(2, other, Event("started", "node-1 writing")) == []
