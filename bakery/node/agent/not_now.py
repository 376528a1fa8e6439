"""HTTP servers, and proxies before them, that cannot answer now: which answers pass, and when.

Source: RFC 9110, 15.5.9 (408), 15.6 (5xx), 10.2.3 (Retry-After), 5.6.7 (dates); RFC 6585, 4 (429);
RFC 8470, 5.2 (425).
"""

import re

PASSING = (408, 425, 429)
RETRY_SECONDS = re.compile(rb"\r\nretry-after:[ \t]*([0-9]{1,9})[ \t]*\r\n", re.IGNORECASE)
DATE = (
    rb"[ \t]*[A-Z][a-z]{2}, ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) "
    rb"([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT[ \t]*\r\n"
)
RETRY_DATE = re.compile(rb"\r\nretry-after:" + DATE, re.IGNORECASE)
OWN_DATE = re.compile(rb"\r\ndate:" + DATE, re.IGNORECASE)
MONTHS = b"jan feb mar apr may jun jul aug sep oct nov dec".split()
DAY = 86400


class NotNow(OSError):
    """The server is there and cannot answer now; it wants to be left alone for `wait` seconds."""

    def __init__(self, status: int, wait: float) -> None:
        asked = f", to be asked again in {wait:g} s" if wait else ""
        super().__init__(0, f"HTTP {status}{asked}")
        self.wait = wait


def check(status: int, head: bytes) -> None:
    """Raise NotNow where an answer passes; `head` has its header fields, each in CRLF."""
    if status >= 500 or status in PASSING:
        raise NotNow(status, wait(head))


def wait(head: bytes) -> float:
    """How long the answer asks to be left alone, in seconds; 0 where it does not say.

    A date counts from the server's own: the node's clock may be anywhere.
    """
    if seconds := RETRY_SECONDS.search(head):
        return float(seconds[1])
    then, now = RETRY_DATE.search(head), OWN_DATE.search(head)
    return max(0.0, _seconds(then) - _seconds(now)) if then and now else 0.0


def _seconds(date: "re.Match[bytes]") -> float:
    """Seconds since some day; only differences count."""
    day, year, hour, minute, second = (int(date[n]) for n in (1, 3, 4, 5, 6))
    month = MONTHS.index(date[2].lower()) + 1 if date[2].lower() in MONTHS else 1
    # Years begin in March, so that a leap day is their last.
    year, month = (year, month) if month > 2 else (year - 1, month + 12)
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * month - 457) // 5 + day
    return float(days * DAY + hour * 3600 + minute * 60 + second)
