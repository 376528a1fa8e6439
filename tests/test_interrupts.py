"""Interrupts that come while something begins: nothing is left that nobody would end."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bakery.interrupts import TERMINATED
from tests import processes

ROUNDS = 40
HEAD = "import os, signal; from bakery import interrupts; interrupts.catch()\n"


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_program_that_starts_threads_all_the_time_ends_when_interrupted(number: signal.Signals):
    code = (
        "from bakery.pool import Pool; print(flush=True)\n"
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
        "import sys; from pathlib import Path; from bakery.sandbox import Cage; print(flush=True)\n"
        "from bakery.run import run\n"
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
        [sys.executable, "-c", HEAD + code], capture_output=True, text=True, check=False
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
