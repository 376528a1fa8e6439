"""Threads beside the main one, as the base class has them; interrupts wait while one begins."""

import threading
import time

import pytest

from bakery.host import interrupts
from bakery.host.pool import Pool


def test_work_is_done_beside_with_its_words():
    with Pool(1) as pool:
        assert pool.submit(int, "12", base=3).result() == 5


def test_a_shutdown_waits_unless_it_is_told_not_to():
    go, ended = threading.Event(), []

    def work():
        go.wait(30)
        ended.append(1)

    pool = Pool(1)
    pool.submit(work)
    pool.shutdown(wait=False)
    assert ended == []
    go.set()
    pool.shutdown()
    assert ended == [1]


def test_what_has_not_begun_can_be_dropped_and_otherwise_is_done():
    for cancel in (True, False):
        go = threading.Event()
        pool = Pool(1)
        pool.submit(go.wait, 30)
        second = pool.submit(int)
        pool.shutdown(wait=False, cancel_futures=cancel)
        go.set()
        pool.shutdown()
        assert second.cancelled() == cancel


def test_after_an_error_what_has_not_begun_is_not_done():
    done = []

    def work(number):
        done.append(number)
        time.sleep(0.05)

    with pytest.raises(KeyboardInterrupt), Pool(1) as pool:
        for number in range(8):
            pool.submit(work, number)
        raise KeyboardInterrupt
    assert len(done) < 8


def test_an_interrupt_waits_while_a_thread_is_begun_or_all_are_ended(monkeypatch):
    held = []
    real = threading.Thread.start

    def start(thread):
        held.append(interrupts._State.holds)
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with Pool(1) as pool:
        pool.submit(int)
        assert interrupts._State.holds == 0
    assert held == [1]
