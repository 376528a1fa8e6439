"""How fast bytes go, and how long the rest will take."""

import time
from collections import deque
from collections.abc import Callable

WINDOW_SECONDS = 8.0


class Rate:
    """The rate over the last seconds; `clock` gives seconds that only grow."""

    def __init__(self, total_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.total_bytes = total_bytes
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()

    def at(self, done_bytes: int) -> str:
        """Told at `done_bytes`: `212 MB/s, 0:12 left`; empty while there is nothing to tell."""
        now = self._clock()
        self._seen.append((now, done_bytes))
        while len(self._seen) > 2 and now - self._seen[0][0] > WINDOW_SECONDS:
            self._seen.popleft()
        then, before = self._seen[0]
        if now <= then or done_bytes <= before:
            return ""
        rate = (done_bytes - before) / (now - then)
        left = round((self.total_bytes - done_bytes) / rate)
        return f"{rate / 1e6:.3g} MB/s, {clock_time(left)} left"


def clock_time(seconds: int) -> str:
    """Seconds as `M:SS` or `H:MM:SS`."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
