"""The conductor hears of a node as long as it works, also where nothing changes."""

import queue

import pytest

from bakery.node.agent.reporter import Teller

OFTEN = 0.01


def test_the_latest_is_told_again_and_again():
    heard: queue.Queue[tuple[str, int, int]] = queue.Queue()
    with Teller(lambda *news: heard.put(news), OFTEN) as teller:
        teller.tell("writing", 0, 9)
        assert [heard.get(timeout=30) for _ in range(3)] == [("writing", 0, 9)] * 3
        teller.tell("writing", 4, 9)
        while heard.get(timeout=30) != ("writing", 4, 9):
            pass


def test_nothing_is_told_before_there_is_something():
    heard: queue.Queue[tuple[str, int, int]] = queue.Queue()
    with Teller(lambda *news: heard.put(news), OFTEN), pytest.raises(queue.Empty):
        heard.get(timeout=0.2)
