"""HTTP requests and answers as records, and the parts of HTTP that are only text.

Source: RFC 9110 (ranges: section 14, conditions: section 13).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

PATH_LIMIT = 1024
GUARDED = "media"
"""What is served below it has a secret as the next part of its name."""
_SECRET = re.compile(rf"(/+{GUARDED}/+)[^/]+", re.ASCII)
_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))", re.ASCII)


@dataclass(frozen=True)
class Request:
    """A request for a route: `parameters` are the named groups of the route's pattern.

    `headers` have lower-case names; `body` is whole and within the server's bound; `client` is the
    IPv4 address of whoever asks.
    """

    method: str
    path: str
    parameters: Mapping[str, str]
    query: str
    headers: Mapping[str, str]
    body: bytes
    client: str


@dataclass(frozen=True)
class Response:
    """The answer of a route. `headers` are added to those that describe the body.

    `reason` is for the event: why it was refused.
    """

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""


Handler = Callable[[Request], Response]
# (method, pattern of the whole path) → who answers
Routes = Mapping[tuple[str, str], Handler]


class Refused(Exception):
    """A request that is answered by an error: its status, and what the client is told."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = dict(headers or {})


@dataclass(frozen=True)
class Piece:
    """The bytes from `offset` on, `length` of them."""

    offset: int
    length: int


def split_target(target: str) -> tuple[str, str]:
    """The decoded path and the raw query of a request's target; Refused where it is malformed."""
    scheme = re.match(r"https?://", target, re.ASCII | re.IGNORECASE)
    if scheme:
        target = "/" + target[scheme.end() :].partition("/")[2]
    raw, _, query = target.partition("?")
    try:
        path = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(400, "the path is not UTF-8") from None
    if not path.startswith("/") or len(path) > PATH_LIMIT or not path.isprintable():
        raise Refused(400, "the path is malformed")
    return path, query


def masked(path: str) -> str:
    """A path as it may be told to others: the secret in it, if it has one, is left out."""
    return _SECRET.sub(r"\1******", path, count=1)


def piece(header: str | None, size: int) -> Piece | None:
    """The one range of bytes a Range header asks for, None where the whole is to be sent.

    What is no range of bytes, or several, is overlooked, as RFC 9110, 14.2 allows. Refused with
    status 416 where nothing of it is there.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        start, end = max(0, size - int(suffix)), size
    else:
        start = int(first)
        end = size if last is None else min(size, int(last) + 1)
        if last is not None and int(last) < start:
            return None
    if start >= size or start >= end:
        raise Refused(416, "nothing of that range is there", {"Content-Range": f"bytes */{size}"})
    return Piece(start, end - start)


def matches(header: str | None, tag: str) -> bool:
    """Whether an If-None-Match header names this entity tag (without its quotes)."""
    if not header:
        return False
    names = (name.strip().removeprefix("W/") for name in header.split(","))
    return any(name in ("*", f'"{tag}"') for name in names)
