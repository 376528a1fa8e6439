"""What the agent tells the conductor: Ironic's classic vendor_passthru calls.

`POST {api}/v1/nodes/{id}/vendor_passthru/{method}`, JSON, the token as X-Auth-Token; 202 is the
answer. HTTP/1.1 (RFC 9112) is spoken on a plain socket: one request, of the answer the first line
is read.
"""

import json
import re
import socket
import time
from collections.abc import Mapping
from typing import NamedTuple

from . import not_now
from .console import say
from .errors import AgentError
from .not_now import NotNow
from .way import Way

ADDRESS = re.compile(r"http://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?((?:/[!-~]*)?)")
STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})\b")
ANSWER_SECONDS = 60.0
ANSWER_LIMIT = 65536
RETRY_SECONDS = 300.0  # how long an API that does not answer, or answers 5xx, is asked again
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 15.0


class Api(NamedTuple):
    """Where the API is; `path` is what comes before /v1."""

    host: str
    port: int
    path: str


def parse(url: str) -> Api:
    """The parts of `ironic_api_url`; AgentError where the agent cannot speak to it."""
    if not url:
        raise AgentError("the kernel argument ironic_api_url is missing")
    match = ADDRESS.fullmatch(url)
    if not match:
        raise AgentError(f"the API's address is not of the form http://HOST[:PORT]: {url}")
    return Api(match[1].strip("[]"), int(match[2] or 80), match[3].rstrip("/"))


def post(
    api: Api,
    node: str,
    method: str,
    body: Mapping[str, str],
    token: str,
    patience: float = RETRY_SECONDS,
    pause: float = FIRST_PAUSE,
) -> None:
    """Make one call, again and again for `patience` seconds while nobody can take it.

    It waits `pause` seconds at first, then ever longer, and never less than it is asked to. Raises
    AgentError when the call is refused (4xx, but for what passes) or the time is over.
    """
    way = Way(api.host, api.port)
    request = _request(api, node, method, json.dumps(body).encode(), token)
    deadline = time.monotonic() + patience
    while True:
        try:
            status = _ask(way, request)
        except OSError as error:
            way.failed()
            reason = error.strerror or str(error)
            wait = max(pause, error.wait if isinstance(error, NotNow) else 0)
        else:
            if 200 <= status < 300:
                return
            raise AgentError(f"the API refused {method}: HTTP {status}")
        if time.monotonic() + wait > deadline:
            raise AgentError(f"the API at {api.host}:{api.port} did not accept {method}: {reason}")
        say(f"{method}: {api.host}:{api.port}: {reason}; again in {wait:g} s")
        time.sleep(wait)
        pause = min(2 * pause, LONGEST_PAUSE)


def _request(api: Api, node: str, method: str, body: bytes, token: str) -> bytes:
    host = f"[{api.host}]" if ":" in api.host else api.host
    lines = [
        f"POST {api.path}/v1/nodes/{node}/vendor_passthru/{method} HTTP/1.1",
        f"Host: {host}:{api.port}",
        "Accept: application/json",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    lines += [f"X-Auth-Token: {token}"] if token else []
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def _ask(way: Way, request: bytes) -> int:
    """Send the request and read the answer's status; OSError where there is none that stays."""
    with way.connect(ANSWER_SECONDS) as link:
        link.sendall(request)
        return _status(link)


def _status(link: socket.socket) -> int:
    """The status of the first answer that is not an interim one (1xx)."""
    answer, deadline = b"", time.monotonic() + ANSWER_SECONDS
    while len(answer) < ANSWER_LIMIT and (left := deadline - time.monotonic()) > 0:
        head, end, rest = answer.partition(b"\r\n\r\n")
        match = STATUS.match(answer)
        if match and end and int(match[1]) >= 200:
            not_now.check(int(match[1]), head + b"\r\n")
            return int(match[1])
        if match and end:
            answer = rest
            continue
        link.settimeout(left)
        piece = link.recv(4096)
        if not piece:
            break
        answer += piece
    match = STATUS.match(answer)
    if match and int(match[1]) >= 200:
        not_now.check(int(match[1]), b"")
        return int(match[1])
    raise OSError(0, "the answer is not HTTP")
