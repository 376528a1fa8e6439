"""Ctrl-C and SIGTERM, put off while something begins that only its owner can end.

Python raises an interrupt between any two instructions of the main thread. Between a program's
start and the `try` that would end it, nobody ends it; inside a pool that has started a thread
and has not noted it yet, the pool is never closed and Python waits for that thread for ever. And
Python's own locks are written in Python: between the taking of one and the `with` that would
release it again, nobody releases it, and whoever needs it next waits for ever.
"""

import atexit
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN_SECONDS = 0.001
LATER_SECONDS = 0.05
TAKING = frozenset(
    getattr(threading.Condition, name).__code__
    for name in ("__enter__", "__exit__", "_release_save", "_acquire_restore")
)
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM


class _State:
    """Of the main thread: how many `held` blocks it is in, and the signal that waits for them."""

    holds = 0
    waiting: int | None = None
    raised: int = signal.SIGINT
    stands: tuple[FrameType, int] | None = None
    """The frame and the instruction, among Python's locks, at which an interrupt was put off."""


def catch() -> None:
    """From here on SIGINT raises KeyboardInterrupt, and SIGTERM SystemExit, but where `held`."""
    signal.signal(signal.SIGINT, _arrived)
    signal.signal(signal.SIGTERM, _arrived)
    signal.signal(signal.SIGALRM, _again)
    # As it ends Python gives signals their own effect back, and an alarm's is to kill.
    atexit.register(signal.signal, signal.SIGALRM, signal.SIG_IGN)
    sys.unraisablehook = _dropped


@contextmanager
def held() -> Iterator[Callable[[], None]]:
    """Interrupts wait inside the block, until its end or until what it gives is called.

    That is called once what was begun has an owner that would end it. Threads other than the
    main one are never interrupted: for them this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    released = False

    def release() -> None:
        nonlocal released
        if not released:
            released = True
            _State.holds -= 1
            _raise_waiting()

    _State.holds += 1
    try:
        yield release
    finally:
        release()


def _arrived(number: int, frame: FrameType | None) -> None:
    _State.waiting = number
    # Raised in the one, it would be lost for good; in the other, a lock would be.
    if _is_dropping(frame) or _is_at_a_lock(frame):
        signal.setitimer(signal.ITIMER_REAL, LATER_SECONDS)
    else:
        _raise_waiting()


def _is_dropping(frame: FrameType | None) -> bool:
    """Whether `_dropped` is at work in this frame or below it: a signal may meet a handler."""
    while frame is not None and frame.f_code is not _dropped.__code__:
        frame = frame.f_back
    return frame is not None


def _is_at_a_lock(frame: FrameType | None) -> bool:
    """Whether a lock is being taken or released; not where it is merely waited for.

    Which of the two it is, time tells: who is met at the same instruction again is waiting. A
    condition's own lock is waited for by nobody for long.
    """
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back  # one signal met the handler of another
    if frame is None or frame.f_code.co_filename != threading.__file__:
        _State.stands = None
        return False
    if frame.f_code in TAKING:
        return True
    before, _State.stands = _State.stands, (frame, frame.f_lasti)
    return before != _State.stands


def _again(_number: int, frame: FrameType | None) -> None:
    _arrived(_State.waiting or _State.raised, frame)


def _raise_waiting() -> None:
    """Raise what has come, if nothing holds it."""
    number = _State.waiting
    if number is None or _State.holds:
        return
    signal.setitimer(signal.ITIMER_REAL, 0)  # it comes now: later is not needed
    _State.waiting, _State.raised, _State.stands = None, number, None
    if number == signal.SIGTERM:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(TERMINATED)
    raise KeyboardInterrupt


def _dropped(lost: "sys.UnraisableHookArgs") -> None:
    """Python drops what is raised in a finalizer; an interrupt comes again a moment later."""
    if lost.exc_type in (KeyboardInterrupt, SystemExit):
        signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
    else:
        sys.__unraisablehook__(lost)
