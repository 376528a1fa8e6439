"""Orders to a lab's nodes, given in any thread, carried out in the keeper's main one.

The kernel ends a node's machine with the thread that started it.
"""

import queue
import threading
from collections.abc import Callable

from bakery.host.errors import BakeryError

WAIT_SECONDS = 60.0
MOST_WAITING = 64


class NotTaken(BakeryError):
    """The order waits for too long, or with too many others."""


class _Order:
    """What is to be done, and how it went."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.act = act
        self.done = threading.Event()
        self.error: BakeryError | OSError | None = None


class Orders:
    """A queue of orders: `give` waits until `carry_out` was called in the other thread."""

    def __init__(self, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self._waiting: queue.Queue[_Order] = queue.Queue(MOST_WAITING)
        self._seconds = wait_seconds

    def give(self, act: Callable[[], None]) -> None:
        """Have it done; BakeryError or OSError as it raises them, NotTaken where it is not done."""
        order = _Order(act)
        try:
            self._waiting.put_nowait(order)
        except queue.Full:
            raise NotTaken("too many orders wait") from None
        if not order.done.wait(self._seconds):
            raise NotTaken(f"the lab did not take the order within {self._seconds:g} s")
        if order.error is not None:
            raise order.error

    def carry_out(self) -> None:
        """Do what waits."""
        for _ in range(MOST_WAITING):
            try:
                order = self._waiting.get_nowait()
            except queue.Empty:
                return
            try:
                order.act()
            except (BakeryError, OSError) as error:
                order.error = error
            finally:
                order.done.set()
