"""sushy's way to one service: over our wire, with the tasks that a request begins awaited.

Source: DSP0266 (Redfish Specification), 12.2 Asynchronous operations; DSP8010, Task, TaskState.
"""

import math
import ssl
import time
from collections.abc import Mapping
from pathlib import Path

import requests
from sushy.connector import Connector
from sushy.exceptions import ResourceNotFoundError

from bakery.bmc import redfish_codes as codes
from bakery.bmc.answer import Failure
from bakery.bmc.redfish_wire import ACCEPTED, Pace, Wire, document, retry_after

REDIRECTS_LIMIT = 3
SETTINGS_SECONDS = 20.0
# Those in which the last word is not spoken, and those that end badly.
UNFINISHED = frozenset(
    ("New", "Starting", "Running", "Pending", "Suspended", "Interrupted", "Service", "Stopping")
)
ENDED_BADLY = frozenset(("Exception", "Killed", "Cancelled", "Cancelling"))


class Link(Connector):  # type: ignore[misc]
    """sushy's way to a service, with the tasks that a request begins awaited."""

    def __init__(self, url: str, wire: Wire, pace: Pace, *, verify: bool | str) -> None:
        super().__init__(url, verify=_authorities() if verify is True else verify)
        self._pace = pace
        self._session.trust_env = False  # no proxy, and no password of ~/.netrc
        self._session.max_redirects = REDIRECTS_LIMIT
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, wire)

    def post(self, path: str = "", data: object = None, **more: object) -> requests.Response:
        """POST, and what it began carried out."""
        response: requests.Response = super().post(path, data, **more)
        if not self._ends(response):
            raise Failure("late", "its task is not finished")
        return response

    def patch(self, path: str = "", data: object = None, **more: object) -> requests.Response:
        """PATCH, and what it began carried out, if that is soon.

        Some have a task that waits for the next start; who changes settings reads them back.
        """
        response: requests.Response = super().patch(path, data, **more)
        self._ends(response, SETTINGS_SECONDS)
        return response

    def _ends(self, response: requests.Response, seconds: float = math.inf) -> bool:
        """Wait for the task that was begun, if one was; False where it goes on after `seconds`."""
        monitor = _monitor(response)
        until = time.monotonic() + seconds
        while monitor:
            self._pace.pause(retry_after(response))
            try:
                response = self.get(monitor)
            except ResourceNotFoundError:
                return True  # it is done, and forgotten: what it did will be seen
            body = document(response)
            state = body.get("TaskState") if isinstance(body, Mapping) else None
            if state in ENDED_BADLY:
                raise Failure("refused", codes.words(response.status_code, body))
            if response.status_code != ACCEPTED and state not in UNFINISHED:
                return True
            if self._pace.is_over or time.monotonic() >= until:
                return False
        return True


def _monitor(response: requests.Response) -> str:
    """Where the task is watched that was begun; empty where none was, or cannot be."""
    if response.status_code != ACCEPTED:
        return ""
    if place := response.headers.get("Location"):
        return str(place)
    body = document(response)
    told = body.get("@odata.id") if isinstance(body, Mapping) and "TaskState" in body else None
    return told if isinstance(told, str) else ""


def _authorities() -> bool | str:
    """Where this machine keeps the authorities that it trusts; True for those of requests."""
    paths = ssl.get_default_verify_paths()
    kept = paths.capath if paths.capath and any(Path(paths.capath).iterdir()) else None
    return paths.cafile or kept or True
