"""Programs that live as long as a block, and those that are to stay."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bakery.host.run import end, spawn
from tests.host.test_run import (
    FOREVER,
    SOON_SECONDS,
    family,
    wait_for_pids,
    wait_until_gone,
)
from tests.leftovers import alive


def test_a_program_is_in_a_group_and_a_session_of_its_own():
    with spawn(["sh", "-c", "echo $$; exec sleep 1000"], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert int(process.stdout.readline()) == process.pid
        assert os.getpgid(process.pid) == os.getsid(process.pid) == process.pid
    assert process.stdout.closed
    assert process.returncode == -signal.SIGTERM


def test_a_spawned_program_has_the_streams_and_the_descriptors_it_is_given():
    reader, writer = os.pipe()
    with spawn(
        ["bash", "-c", f"cat; echo no >&2; echo yes >&{writer}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=[writer],
    ) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(b"in")
        process.stdin.close()
        assert (process.stdout.read(), process.stderr.read()) == (b"in", b"no\n")
        assert os.read(reader, 9) == b"yes\n"
        assert process.wait(20) == 0
    os.close(reader)
    os.close(writer)
    with spawn(["sh", "-c", "cat; echo x; echo y >&2; sleep 1000"]) as process:
        assert (process.stdin, process.stdout, process.stderr) == (None, None, None)


def test_only_what_is_launched_outlives_bakery(tmp_path):
    pids = tmp_path / "pids"
    script = (
        "import sys; from bakery.host.run import launch\n"
        "words = ['sh', '-c', 'echo $$ >>$0; exec sleep 1000', sys.argv[1]]\n"
        "process = launch(words, env={'A': 'b'}); print(process.pid)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(pids)], capture_output=True, text=True, check=True
    )
    (pid,) = wait_for_pids(pids, 1)
    try:
        assert alive(pid) and int(done.stdout) == pid
        assert Path(f"/proc/{pid}/environ").read_bytes().split(b"\0").count(b"A=b") == 1
        assert os.getsid(pid) == pid
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_program_has_two_seconds_to_end_and_an_ended_one_is_not_waited_for():
    began = time.monotonic()
    with spawn(["sh", "-c", "trap 'sleep 0.3; exit 5' TERM; echo; sleep 1000 & wait"],
               stdout=subprocess.PIPE) as process:  # fmt: skip
        assert process.stdout
        process.stdout.readline()
        end(process)
        assert process.returncode == 5
    with spawn(["true"]) as process:
        process.wait(20)
    end(process)
    assert time.monotonic() - began < SOON_SECONDS


def test_a_spawned_program_lives_as_long_as_its_block(tmp_path):
    pids = tmp_path / "pids"
    with spawn(family(pids)) as process:
        started = wait_for_pids(pids, 2)
        assert process.pid in started
        assert all(alive(pid) for pid in started)
    assert wait_until_gone(started) == []


def test_a_spawned_program_ends_when_its_block_fails(tmp_path):
    pids = tmp_path / "pids"
    with pytest.raises(ZeroDivisionError), spawn(family(pids)):
        started = wait_for_pids(pids, 2)
        raise ZeroDivisionError
    assert wait_until_gone(started) == []


def test_a_program_that_ignores_sigterm_is_killed():
    with spawn(["sh", "-c", f"trap '' TERM; echo; {FOREVER}"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the trap is set
        end(process, grace=0.1)
        assert process.returncode == -signal.SIGKILL
