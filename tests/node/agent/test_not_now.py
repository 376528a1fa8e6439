"""RFC 9110, 10.2.3 and 15; RFC 6585, 4; RFC 8470, 5.2."""

import calendar
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.node.agent import not_now
from bakery.node.agent.not_now import NotNow


def head(*fields: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 429 So", *fields, ""]).encode()


def test_servers_in_trouble_and_three_refusals_pass():
    passing = set()
    for status in range(200, 600):
        try:
            not_now.check(status, head())
        except NotNow:
            passing.add(status)
    assert passing == {408, 425, 429, *range(500, 600)}


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ((), 0),
        (("Retry-After: 7",), 7),
        (("retry-after:120",), 120),
        (("Retry-After: -7",), 0),
        (("Retry-After: soon",), 0),
        (("X-Retry-After: 7",), 0),
        (("Date: Wed, 21 Oct 2015 07:28:00 GMT", "Retry-After: Wed, 21 Oct 2015 07:28:30 GMT"), 30),
        (("Retry-After: Thu, 01 Jan 2015 00:00:05 GMT", "Date: Wed, 31 Dec 2014 23:59:50 GMT"), 15),
        (("Date: Wed, 21 Oct 2015 07:28:00 GMT", "Retry-After: Wed, 21 Oct 2015 07:27:00 GMT"), 0),
        (("Retry-After: Wed, 21 Oct 2015 07:28:30 GMT",), 0),
    ],
)
def test_a_server_says_how_long_it_wants_to_be_left_alone(fields, seconds):
    """A date counts from the server's own, whatever the node's clock says."""
    assert not_now.wait(head(*fields)) == seconds
    with pytest.raises(NotNow) as told:
        not_now.check(429, head(*fields))
    assert told.value.wait == seconds
    assert str(told.value.strerror).startswith("HTTP 429")


@given(*[st.integers(0, 4_000_000_000)] * 2)
def test_dates_are_counted_as_the_calendar_has_them(one, other):
    words = [time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(n)) for n in (one, other)]
    assert calendar.timegm(time.gmtime(one)) == one
    found = not_now.wait(head(f"Date: {words[0]}", f"Retry-After: {words[1]}"))
    assert found == max(0, other - one)
