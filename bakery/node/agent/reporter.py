"""Tells how far it is, from a thread of its own: nothing waits for whoever listens."""

import threading
from collections.abc import Callable

SECONDS = 1.0

News = tuple[str, int, int]


class Teller:
    """Passes the latest news on every `seconds`: a sign of life as well; `with` ends it."""

    def __init__(self, listen: Callable[[str, int, int], None], seconds: float = SECONDS) -> None:
        self._listen, self._seconds = listen, seconds
        self._latest: News | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Teller":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()

    def tell(self, part: str, done: int, total: int) -> None:
        """What is being done, and how much of how much."""
        self._latest = (part, done, total)

    def _run(self) -> None:
        while not self._end.wait(self._seconds):
            if self._latest:
                self._listen(*self._latest)
