"""How Ironic is asked: over HTTP, until an answer comes.

Bare Metal API v1, through openstacksdk's adapter: it knows endpoint, region and token, and logs in
anew when the token has expired. A node that is locked (409) and a service that is busy (503) are
asked again, with growing pauses; so is whatever came without an answer.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from bakery.host.pool import Pool
from bakery.openstack.connection import Answer, CloudError, explained, json_of, plain
from bakery.openstack.ironic import answers
from bakery.openstack.ironic.fields import TRAITS_SINCE

if TYPE_CHECKING:
    import requests
    from openstack.connection import Connection

T = TypeVar("T")

NEWEST = 104
"""The newest version of the API, 1.N, that is asked for."""
OLDEST = TRAITS_SINCE
"""That is of 2018."""
PAGE = 1000
PAGES_LIMIT = 200
ANSWER_LIMIT_BYTES = 256 << 20
TIMEOUT_SECONDS = (30, 120)
PATIENCE_SECONDS = 120.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 10.0
BUSY = frozenset({409, 429, 502, 503, 504})
FAILED_TRIES = 5
"""How many times to ask where it ends in HTTP 500, and where nobody answers."""
LOCKED = "is locked"
EXISTS = "already exists"
SCOPE = "requires a scope of"
"""Where a project asks for what takes the whole system, oslo.policy ends in an HTTP 500."""


class Session:
    """Requests to one Ironic; every method raises CloudError for what goes wrong.

    `minor` is the version of its API that is spoken, 1.N.
    """

    def __init__(self, connection: "Connection") -> None:
        from openstack.utils import maximum_supported_microversion

        self.patience_seconds = PATIENCE_SECONDS
        self._stopped = threading.Event()
        self._writer = threading.Lock()
        self._one_by_one = False
        self._timeout = connection.session.timeout or TIMEOUT_SECONDS
        try:
            self.adapter = connection.baremetal
            newest = maximum_supported_microversion(self.adapter, f"1.{NEWEST}")
        except Exception as error:
            raise explained(error, "cannot reach the bare metal service") from error
        self.minor = int((newest or "1.1").partition(".")[2])
        if self.minor < OLDEST:
            raise CloudError(
                f"the bare metal service speaks no version of its API after 1.{self.minor}",
                f"bakery needs 1.{OLDEST} (OpenStack Queens) or later",
            )

    @contextmanager
    def at_once(self, workers: int) -> Iterator[Pool]:
        """Threads that speak to it side by side.

        Where the block does not end well, nothing more is asked and nobody waits for a turn; the
        error or interrupt goes on when no request is under way any more.
        """
        with Pool(max_workers=workers) as pool:
            try:
                yield pool
            except BaseException:
                self._stopped.set()
                pool.shutdown(cancel_futures=True)
                self._stopped.clear()
                raise

    def ask(self, method: str, path: str, what: str, *, missing: bool = False, **more: Any) -> Any:  # noqa: ANN401
        """The JSON of an answer, asked for until it comes; None where `missing` allows a 404."""
        tries = self._tries(what)
        while True:
            number, over = next(tries)
            try:
                return self._request(method, path, what, **more)
            except CloudError as error:
                if missing and error.status == 404:
                    return None
                if over or not _passing(error, number):
                    raise

    def create(
        self, path: str, body: object, what: str, find: Callable[[], T | None]
    ) -> dict[str, object] | T:
        """The answer of a POST, or what `find` then finds: it was there, or no answer came."""
        tries = self._tries(what)
        while True:
            number, over = next(tries)
            try:
                answer = self._request("POST", path, what, json=body)
            except CloudError as error:
                is_there = EXISTS in said(error)
                if not is_there and (over or not _passing(error, number)):
                    raise
                found = find()
                if found is not None:
                    return found
                if is_there:  # and we may not see it
                    raise
            else:
                return answers.mapping(answer)

    def listing(self, path: str, query: Mapping[str, str]) -> list[dict[str, object]]:
        """All pages of a listing, within bounds."""
        key = path.partition("/")[0]
        what = f"listing {key}"
        found: list[dict[str, object]] = []
        more = {**query, "limit": str(PAGE)}
        for _ in range(PAGES_LIMIT):
            page = answers.mapping(self.ask("GET", f"/{path}", what, params=more))
            entries = answers.entries(page, key)
            found += entries
            if not page.get("next") or not entries:
                return found
            more["marker"] = str(entries[-1].get("uuid"))
        raise CloudError(f"{what}: the cloud's list never ends")

    def _tries(self, what: str) -> Iterator[tuple[int, bool]]:
        """Growing pauses between tries: the number of each, and whether patience is at its end."""
        pause, end, number = FIRST_PAUSE_SECONDS, time.monotonic() + self.patience_seconds, 0
        while not self._stopped.is_set():
            number += 1
            yield number, time.monotonic() >= end
            self._stopped.wait(pause * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        raise CloudError(f"{what}: stopped")

    def _request(self, method: str, path: str, what: str, **more: Any) -> Any:  # noqa: ANN401
        """One request and the JSON of its answer."""
        more.setdefault("timeout", self._timeout)
        more |= {"microversion": f"1.{self.minor}", "connect_retries": 0, "status_code_retries": 0}
        # Writers that found a database of one file locked are quicker one after another.
        alone = self._writer if self._one_by_one and method != "GET" else nullcontext()
        try:
            with alone:
                answer = self.adapter.request(path, method, raise_exc=False, **more)
                content = _content(answer, what)
        except CloudError:
            raise
        except Exception as error:
            raise explained(error, what) from error
        if answer.status_code >= 300:
            refused = Answer(answer.status_code, _refusal(content))
            self._one_by_one |= refused.status == 500 and LOCKED in refused.text
            raise explained(refused, what) from refused
        return json_of(content, what, "bare metal service")


def _passing(error: CloudError, number: int) -> bool:
    """Whether the failure of try `number` may pass by itself, and is worth another one.

    A 409 is a lock where it says so or says nothing; what else it says will stay so. A database of
    one file answers 500 and says that it is locked.
    """
    if LOCKED in said(error):
        return True
    if SCOPE in said(error) or (error.status == 409 and said(error)):
        return False
    return error.status in BUSY or (error.status in (None, 500) and number < FAILED_TRIES)


def said(error: CloudError) -> str:
    """What the service itself said."""
    return error.__cause__.text if isinstance(error.__cause__, Answer) else ""


def _content(answer: "requests.Response", what: str) -> bytes:
    content = answer.content or b""
    if len(content) > ANSWER_LIMIT_BYTES:
        raise CloudError(f"{what}: the answer is larger than {ANSWER_LIMIT_BYTES} bytes")
    return content


def _refusal(content: bytes) -> str:
    """The words of a refusal. Ironic wraps them in JSON, and that once more as a text."""
    told: object = content
    for _ in range(3):
        if isinstance(told, bytes | str):
            try:
                told = msgspec.json.decode(told)
            except (msgspec.DecodeError, RecursionError):
                break
        if isinstance(told, dict):
            keys = ("error_message", "faultstring", "description", "title")
            told = next((told[key] for key in keys if told.get(key)), "")
    return plain(told.decode("utf-8", "replace") if isinstance(told, bytes) else f"{told}")
