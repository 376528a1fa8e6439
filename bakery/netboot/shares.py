"""The places of a server, shared so that nobody can take them all.

Each client may hold so many; of the whole, some are kept for clients that are known, so that any
number of strangers leaves the nodes theirs.
"""

import threading
from collections import Counter
from collections.abc import Callable

Known = Callable[[str], bool]


def nobody(_address: str) -> bool:
    """Where no client is known."""
    return False


class Shares:
    """`places` in all, at most `each` for one address; `reserved` of them are for `known` ones."""

    def __init__(self, places: int, each: int, reserved: int = 0, known: Known = nobody) -> None:
        self._places, self._each = places, each
        self._open = places - reserved
        self._known = known
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, address: str) -> bool:
        """A place for a client; False where there is none for it."""
        with self._lock:
            held = self._held.total()
            bound = self._places if self._known(address) else self._open
            if held >= bound or self._held[address] >= self._each:
                return False
            self._held[address] += 1
            return True

    def give_back(self, address: str) -> None:
        """A client leaves a place that it took."""
        with self._lock:
            self._held[address] -= 1
            self._held += Counter()  # those that hold none are forgotten
