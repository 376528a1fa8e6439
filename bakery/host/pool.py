"""Threads for work beside the main thread."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor  # noqa: TID251
from types import TracebackType
from typing import ParamSpec, TypeVar

from bakery.host.interrupts import held

P = ParamSpec("P")
T = TypeVar("T")


class Pool(ThreadPoolExecutor):
    """A pool that an interrupt finds with each of its threads noted, or not begun."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As the base class has it; an interrupt comes when the thread is noted."""
        with held():
            return super().submit(fn, *args, **kwargs)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """After an error, and so after an interrupt, what has not begun is not done any more."""
        self.shutdown(wait=True, cancel_futures=kind is not None)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as in the base class
        """As the base class has it; an interrupt comes when all of it is done."""
        with held():
            super().shutdown(wait, cancel_futures=cancel_futures)
