import pytest

from bakery.cloud.rate import Rate, clock_time


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_the_rate_and_what_is_left():
    clock = Clock()
    rate = Rate(1000_000_000, clock)
    assert rate.at(0) == ""
    clock.now = 2.0
    assert rate.at(100_000_000) == "50 MB/s, 0:18 left"


def test_the_rate_is_that_of_the_last_seconds():
    clock = Clock()
    rate = Rate(10_000_000_000, clock)
    for second in range(20):
        clock.now = float(second)
        rate.at(second * 100_000_000)
    for second in range(20, 40):
        clock.now = float(second)
        told = rate.at(2_000_000_000 + (second - 20) * 10_000_000)
    assert told.startswith("10 MB/s")


def test_nothing_moves_nothing_is_told():
    clock = Clock()
    rate = Rate(100, clock)
    rate.at(10)
    clock.now = 1.0
    assert rate.at(10) == ""


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (61, "1:01"), (3723, "1:02:03")])
def test_seconds_as_a_clock(seconds, text):
    assert clock_time(seconds) == text
