import pytest

from bakery.openstack.glance.rate import WINDOW_SECONDS, Rate, clock_time


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


def test_after_a_long_pause_the_rate_is_that_since_the_last_word():
    clock = Clock()
    rate = Rate(1000, clock)
    rate.at(0)
    clock.now = 100.0
    assert rate.at(100) == "1e-06 MB/s, 15:00 left"
    clock.now = 200.0
    assert rate.at(900) == "8e-06 MB/s, 0:12 left"


def test_the_window_holds_what_is_as_old_as_it():
    clock = Clock()
    rate = Rate(10_000_000, clock)
    for now, done in ((0.0, 0), (1.0, 4_000_000), (WINDOW_SECONDS, 8_000_000)):
        clock.now = now
        told = rate.at(done)
    assert told.startswith("1 MB/s")
    clock.now = WINDOW_SECONDS + 0.5
    assert not rate.at(8_000_000).startswith("0.9")


def test_a_clock_that_stands_or_bytes_that_go_back_tell_nothing():
    clock = Clock()
    rate = Rate(100, clock)
    rate.at(10)
    assert rate.at(20) == ""
    clock.now = 1.0
    assert rate.at(5) == ""
    assert rate.at(11) != ""


@pytest.mark.parametrize(("seconds", "text"), [(59, "0:59"), (60, "1:00"), (3600, "1:00:00")])
def test_a_clock_turns_at_sixty(seconds, text):
    assert clock_time(seconds) == text
