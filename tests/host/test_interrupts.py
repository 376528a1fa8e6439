"""Interrupts that come while something begins: nothing is left that nobody would end."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bakery.host.interrupts import TERMINATED
from tests import processes

ROUNDS = 40
ENDS_SECONDS = 60
HEAD = "import os, signal; from bakery.host import interrupts; interrupts.catch()\n"


def test_an_interrupt_waits_for_the_end_of_the_block():
    code = (
        "try:\n"
        "  with interrupts.held():\n"
        "    with interrupts.held() as owned:\n"
        "      os.kill(os.getpid(), signal.SIGINT); owned(); print('on', end=' ')\n"
        "    print('and on', end=' ')\n"
        "  print('never')\n"
        "except KeyboardInterrupt: print('ended')\n"
    )
    assert python(code).stdout == "on and on ended\n"


def test_an_interrupt_comes_once_there_is_an_owner():
    code = (
        "try:\n"
        "  with interrupts.held() as owned:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    try: owned(); print('never')\n"
        "    finally: print('owner')\n"
        "finally: print('out')\n"
    )
    done = python(code)
    assert (done.returncode, done.stdout) == (TERMINATED, "owner\nout\n")


def test_threads_are_not_held_up_and_hold_nothing_up():
    code = (
        "import threading\n"
        "def beside():\n"
        "  with interrupts.held() as owned: owned()\n"
        "threading.Thread(target=beside).start()\n"
        "try: os.kill(os.getpid(), signal.SIGINT); print('never')\n"
        "except KeyboardInterrupt: print('ended')\n"
    )
    assert python(code).stdout == "ended\n"


def test_an_interrupt_that_python_drops_in_a_finalizer_comes_again():
    code = (
        "class Dropping:\n"
        "  def __del__(self): os.kill(os.getpid(), signal.SIGTERM)\n"
        "Dropping(); signal.pause()\n"
    )
    done = python(code)
    assert (done.returncode, done.stderr) == (TERMINATED, "")


def test_no_lock_is_lost_to_an_interrupt_that_comes_as_it_is_taken_or_released():
    """Each turn ends by an interrupt out of a loop that does little else; then the lock is free."""
    code = (
        "import random, threading; interrupts.LATER_SECONDS = 0.002\n"
        "signal.signal(signal.SIGVTALRM, interrupts._again)\n"
        "lock, lost = threading.Condition(threading.Lock()), 0\n"
        "for _ in range(200):\n"
        "  try:\n"
        "    signal.setitimer(signal.ITIMER_VIRTUAL, 0.0005 + 0.002 * random.random())\n"
        "    while True:\n"
        "      with lock: pass\n"
        "  except KeyboardInterrupt:\n"
        "    lost += not lock._lock.acquire(blocking=False); lock._lock.release()\n"
        "  except RuntimeError: lost += 1\n"
        "print(lost)\n"
    )
    assert python(code).stdout == "0\n"


@pytest.mark.parametrize("wait", ["Event().wait()", "Thread(target=sleep, args=(99,)).join()"])
def test_an_interrupt_reaches_who_waits_for_a_lock(wait: str):
    code = (
        "import threading; from threading import Event; from time import sleep\n"
        "class Thread(threading.Thread):\n"
        "  def join(self): self.daemon = True; self.start(); super().join()\n"
        "threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\n"
        f"try: {wait}; print('never')\n"
        "except KeyboardInterrupt: print('ended', flush=True); os._exit(0)\n"
    )
    assert python(code).stdout == "ended\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_program_that_starts_threads_all_the_time_ends_when_interrupted(number: signal.Signals):
    code = (
        "from bakery.host.pool import Pool; print(flush=True)\n"
        "while True:\n"
        "  with Pool(1) as pool: pool.submit(int)\n"
    )
    for _ in range(ROUNDS):
        assert signalled(code, number) in (TERMINATED, -signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_a_program_however_early_it_is_ended(
    number: signal.Signals, tmp_path: Path
):
    """bubblewrap's own child is the one that stays: it waits for a bubblewrap that is gone."""
    code = (
        "import sys; from pathlib import Path; from bakery.host.sandbox import Cage\n"
        "print(flush=True)\n"
        "from bakery.host.run import run\n"
        f"argv = Cage(read=(Path({str(tmp_path)!r}),)).argv(['true'])\n"
        "while True: run(argv)\n"
    )
    for _ in range(ROUNDS):
        assert signalled(code, number) == -number
    left = processes.started_with(str(tmp_path))
    assert all(map(processes.has_ended, left)), "a cage outlives what made it"


def python(code: str) -> subprocess.CompletedProcess[str]:
    """A Python program that has run to its end."""
    return subprocess.run(
        [sys.executable, "-c", HEAD + code],
        capture_output=True,
        text=True,
        check=False,
        timeout=ENDS_SECONDS,
    )


def signalled(code: str, number: signal.Signals) -> int:
    """The end of a program that gets a signal a few milliseconds after its first line."""
    argv = [sys.executable, "-c", HEAD + code]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(random.uniform(0, 0.015))
        os.kill(process.pid, number)
        try:
            return process.wait(10)
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("number", "end"),
    [("SIGINT", "KeyboardInterrupt ''"), ("SIGTERM", f"SystemExit '{TERMINATED}'")],
)
def test_each_signal_ends_in_its_own_way_and_sigterm_comes_once(number, end):
    code = (
        f"try: os.kill(os.getpid(), signal.{number}); print('never')\n"
        "except BaseException as error: print(type(error).__name__, repr(str(error)))\n"
        "print(signal.getsignal(signal.SIGTERM) is signal.SIG_IGN)\n"
        "try: os.kill(os.getpid(), signal.SIGTERM); print('goes on')\n"
        "except SystemExit: print('ended')\n"
    )
    ignored = number == "SIGTERM"
    last = "goes on" if ignored else "ended"
    assert python(code).stdout == f"{end}\n{ignored}\n{last}\n"


def test_what_was_released_is_not_held_a_second_time():
    code = (
        "with interrupts.held():\n"
        "  with interrupts.held() as owned: owned(); owned()\n"
        "  os.kill(os.getpid(), signal.SIGINT); print('held', flush=True)\n"
        "  interrupts._raise_waiting(); print('still', interrupts._State.holds, flush=True)\n"
    )
    done = python(code)
    assert done.stdout == "held\nstill 1\n"
    assert "KeyboardInterrupt" in done.stderr and done.returncode != 0


def test_an_interrupt_is_told_once():
    code = (
        "for _ in range(2):\n"
        "  try:\n"
        "    with interrupts.held(): os.kill(os.getpid(), signal.SIGINT)\n"
        "  except KeyboardInterrupt: print('once')\n"
        "  with interrupts.held(): pass\n"
        "print(interrupts._State.waiting, interrupts._State.holds)\n"
    )
    assert python(code).stdout == "once\nonce\nNone 0\n"


def test_an_interrupt_that_a_finalizer_drops_comes_again_as_what_it_was():
    code = (
        "class Dropping:\n"
        "  def __del__(self): os.kill(os.getpid(), signal.SIGINT)\n"
        "try: Dropping(); signal.pause()\n"
        "except KeyboardInterrupt: print('again')\n"
    )
    done = python(code)
    assert (done.stdout, done.stderr) == ("again\n", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_comes_again_while_it_is_being_dropped_is_not_lost(
    number: signal.Signals,
):
    code = (
        "interrupts.AGAIN_SECONDS = 1e-6\n"
        "class Dropping:\n"
        f"  def __del__(self): os.kill(os.getpid(), {number:d})\n"
        "try:\n"
        "  for _ in range(5):\n"
        "    try: Dropping(); signal.pause()\n"
        "    except KeyboardInterrupt: pass\n"
        "except SystemExit: pass\n"
        "print('ended')\n"
    )
    done = python(code)
    assert (done.stdout, done.stderr) == ("ended\n", "")


def test_any_other_error_of_a_finalizer_is_told_as_python_does():
    code = (
        "class Broken:\n"
        "  def __del__(self): raise ValueError('a defect')\n"
        "Broken()\n"
        "import time; time.sleep(0.05); print('on')\n"
    )
    done = python(code)
    assert (done.stdout, done.returncode) == ("on\n", 0)
    assert "Exception ignored" in done.stderr and "a defect" in done.stderr


def test_other_threads_hold_nothing():
    code = (
        "import threading\n"
        "seen = []\n"
        "def beside():\n"
        "  with interrupts.held() as owned: seen.append(interrupts._State.holds); owned()\n"
        "thread = threading.Thread(target=beside); thread.start(); thread.join()\n"
        "with interrupts.held(): seen.append(interrupts._State.holds)\n"
        "print(seen, interrupts._State.holds, interrupts.INTERRUPTED, interrupts.TERMINATED)\n"
    )
    assert python(code).stdout == "[0, 1] 0 130 143\n"
