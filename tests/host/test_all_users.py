"""A program in a user namespace that knows every user, and what becomes of it where that fails."""

import os
import subprocess
import sys
import time

import pytest

from bakery.host import all_users
from bakery.host.all_users import EXEC_FAILED, SIGNALLED
from tests import processes

ENDS_SECONDS = 60
START = """
import sys
import time
from bakery.host import all_users
{before}
sys.exit(all_users.main(sys.argv[1:]))
"""


def start(*words: str, before: str = "") -> subprocess.CompletedProcess[str]:
    code = START.format(before=before)
    argv = [sys.executable, "-c", code, *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=ENDS_SECONDS)


def test_where_no_user_can_be_mapped_the_program_is_not_started_and_nobody_waits():
    before = "def fail(pid): raise OSError('not permitted')\nall_users.write_maps = fail"
    done = start("echo", "started", before=before)
    assert (done.returncode, done.stdout) == (EXEC_FAILED, "")
    assert "users cannot be mapped: not permitted" in done.stderr
    assert "echo: the user namespace was not mapped" in done.stderr


def test_where_no_namespace_can_be_made_that_is_told():
    before = "all_users.CLONE_NEWUSER = 1"
    done = start("echo", "started", before=before)
    assert (done.returncode, done.stdout) == (EXEC_FAILED, "")
    assert "no user namespace can be made here" in done.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -9 $$"], SIGNALLED + 9),
        (["/there/is/no/such/program"], EXEC_FAILED),
    ],
)
def test_the_end_is_the_programs(words, code):
    done = start(*words, before="all_users.write_maps = lambda pid: None")
    assert done.returncode == code


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may map every user")
def test_root_keeps_every_users_number_inside():
    before = "print(all_users.identity(open('/proc/self/uid_map').read()), end='', flush=True)"
    done = start("cat", "/proc/self/uid_map", "/proc/self/gid_map", before=before)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    half = len(rows) // 3
    assert rows[:half] == rows[half : 2 * half] == rows[2 * half :]
    assert all(inside == outside for inside, outside, _ in rows)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may map every user")
def test_it_is_a_namespace_of_its_own_and_words_reach_the_program():
    before = "import os; print(os.readlink('/proc/self/ns/user'), flush=True)"
    done = start("sh", "-c", 'readlink /proc/self/ns/user; echo "$@"', "-", "a b", before=before)
    outside, inside, words = done.stdout.splitlines()
    assert outside != inside and words == "a b"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may map every user")
def test_the_program_ends_with_the_one_that_started_it(tmp_path):
    pid = tmp_path / "pid"
    words = ["sh", "-c", f"echo $$ >{pid}; exec sleep 1000"]
    argv = [sys.executable, "-I", "-S", all_users.__file__, *words]
    with subprocess.Popen(argv) as process:
        until = time.monotonic() + ENDS_SECONDS
        while not (pid.exists() and pid.read_text().endswith("\n")):
            assert time.monotonic() < until
            time.sleep(0.01)
        process.kill()
    assert processes.has_ended(int(pid.read_text()))


def test_a_starter_that_dies_before_it_has_mapped_leaves_nobody_waiting():
    """The other end of the pipe is closed, which is no word to go on."""
    code = (
        "import os; from bakery.host import all_users\n"
        "ready, tell = os.pipe(); mapped, gone = os.pipe(); os.close(gone)\n"
        "try: all_users.become(['true'], tell, mapped)\n"
        "except OSError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert "the user namespace was not mapped" in done.stdout or "no user namespace" in done.stdout
