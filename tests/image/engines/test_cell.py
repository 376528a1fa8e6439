"""A cage that stays open, and its worker: what programs in it get, give, and may not outgrow."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bakery.host import sandbox
from bakery.host.errors import BakeryError, MissingTool
from bakery.host.run import Limits
from bakery.host.sandbox import Mount
from bakery.image.engines import cell
from bakery.image.engines.cell import Cell, Command, _told
from tests import processes

DAEMON = Command(["cat"])


@pytest.fixture(params=["caged", "uncaged"])
def opened(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Cell]:
    """A cell whose daemon is cat(1): it repeats what it is told."""
    if request.param == "uncaged":
        monkeypatch.setattr(cell, "confined", lambda: False)
    elif not sandbox.available():
        pytest.skip("bubblewrap does not work here")
    with Cell([Mount(tmp_path, tmp_path, writable=True)], DAEMON) as made:
        assert made.confined == (request.param == "caged")
        yield made


def shell(script: str, **more: object) -> Command:
    return Command(["sh", "-c", script], **more)  # type: ignore[arg-type]


def test_a_program_leaves_its_code_its_output_and_its_complaints(opened: Cell):
    done = opened.run(shell("echo out; echo one >&2; echo two >&2; exit 3"))
    assert (done.returncode, done.stdout) == (3, b"out\n")
    assert done.complaint == "one / two"
    ended = opened.run(shell("kill -9 $$"))
    assert ended.returncode == -9


def test_a_program_has_nothing_to_read_and_no_descriptor_but_its_own(opened: Cell):
    more = "for n in 3 4 5 6 7 8 9; do { true >&$n; } 2>/dev/null && echo $n; done; true"
    done = opened.run(shell(f"cat; {more}"))
    assert (done.returncode, done.stdout) == (0, b"")


def test_outputs_stand_in_the_order_of_the_commands_whichever_ends_first(opened: Cell):
    scripts = [f"sleep {pause}; echo {n}" for n, pause in enumerate((0.1, 0, 0.05, 0, 0, 0.02))]
    found = opened.run_all([shell(script) for script in scripts])
    assert [output.stdout for output in found] == [b"%d\n" % n for n in range(6)]


def test_only_a_few_programs_are_at_work_at_a_time(opened: Cell, tmp_path: Path):
    script = f"echo x >>{tmp_path}/begun; sleep 0.05; wc -l <{tmp_path}/begun"
    found = opened.run_all([shell(script) for _ in range(5)])
    assert [int(output.stdout) <= 4 for output in found[:-1]] == [True] * 4
    assert opened.run_all([]) == []


def test_output_may_go_to_a_file_and_is_not_kept_then(opened: Cell, tmp_path: Path):
    with (tmp_path / "out").open("wb") as file:
        done = opened.run(shell("echo there", stdout=file.fileno()))
    assert done.stdout == b""
    assert (tmp_path / "out").read_bytes() == b"there\n"


def test_a_program_that_outgrows_a_bound_is_ended(opened: Cell):
    small = Limits(1 << 30, 30, 4096)
    done = opened.run(Command(["head", "-c", "5000", "/dev/zero"], small))
    assert done.returncode == -signal.SIGXFSZ
    assert done.stdout == bytes(4096)
    assert opened.run(Command(["head", "-c", "4096", "/dev/zero"], small)).returncode == 0
    words = ["dd", "if=/dev/zero", "of=/dev/null", "bs=900M", "count=1"]
    memory = opened.run(Command(words, Limits(1 << 28, 30, 1 << 20)))
    assert "memory" in memory.complaint


def test_bounds_reach_the_program_as_they_were_given(opened: Cell):
    done = opened.run(shell("ulimit -v; ulimit -t; ulimit -f", limits=Limits(1 << 30, 7, 1 << 20)))
    assert done.stdout.split() == [b"1048576", b"7", b"2048"]


def test_what_gives_no_bound_has_ours(opened: Cell):
    done = opened.run(shell("ulimit -v; ulimit -t", limits=Limits(None, None, 1 << 20)))
    assert all(not word.isdigit() or int(word) > 1 << 30 for word in done.stdout.split())


def test_files_are_opened_made_and_edited_as_the_cage_names_them(opened: Cell, tmp_path: Path):
    (tmp_path / "there").write_bytes(b"content")
    reading = opened.open(f"{tmp_path}/there")
    assert os.read(reading, 99) == b"content"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(reading, b"x")
    editing = opened.open(f"{tmp_path}/there", "edit")
    os.pwrite(editing, b"C", 0)
    made = opened.open(f"{tmp_path}/made", "make")
    os.write(made, b"new")
    assert os.pread(made, 9, 0) == b"new"
    for descriptor in (reading, editing, made):
        assert not os.get_inheritable(descriptor)
        os.close(descriptor)
    assert (tmp_path / "there").read_bytes() == b"Content"
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o600
    with pytest.raises(BakeryError, match="made cannot be opened inside the cage: File exists"):
        opened.open(f"{tmp_path}/made", "make")
    with pytest.raises(BakeryError, match="none cannot be opened inside the cage: No such file"):
        opened.open(f"{tmp_path}/none")


def test_the_daemon_is_talked_to_over_its_own_socket_and_its_end_is_told(opened: Cell):
    opened.talk.sendall(b"hello")
    assert opened.talk.recv(9) == b"hello"
    assert opened.run(shell("echo between")).stdout == b"between\n"
    opened.talk.shutdown(1)
    assert opened.wait_for_daemon() == 0
    assert opened.talk.recv(9) == b""


def test_what_the_daemon_complains_of_is_kept(tmp_path: Path):
    with Cell([], shell("echo a problem >&2; exit 4")) as made:
        assert made.wait_for_daemon() == 4
        assert "a problem" in made.log()
        assert made.talk.recv(9) == b""


def test_a_worker_that_is_gone_is_told_with_its_last_words(opened: Cell):
    opened.run(shell("true"))
    (worker,) = [
        pid
        for pid in processes.started_with("confined_worker.py")
        if b"python" in processes.of(pid, "comm") and _below(pid, os.getpid())
    ]
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(BakeryError, match="the confined worker has died") as caught:
        for _ in range(3):
            opened.run(shell("true"))
    assert "bakery doctor" in caught.value.hint


def _below(pid: int, ancestor: int) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        pid = int((processes.of(pid, "stat").rpartition(b")")[2].split() or [b"", b"0"])[1])
    return False


def test_no_answer_in_time_is_told(opened: Cell, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cell, "ANSWER_SECONDS", 0.1)
    with pytest.raises(BakeryError, match=r"sh did not answer within 0\.1 s"):
        opened.run(shell("sleep 5"))


def test_with_the_cell_everything_in_it_ends(opened: Cell, tmp_path: Path):
    mark = f"3600.{os.getpid()}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cell, "ANSWER_SECONDS", 0.05)
        with pytest.raises(BakeryError, match="did not answer"):
            opened.run(Command(["sleep", mark]))
    assert awaited(lambda: processes.started_with(mark) != [])
    opened.close()
    assert awaited(lambda: processes.started_with(mark) == [])


def awaited(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


@pytest.mark.parametrize(
    "said", [b"", b"1", b"1\x00", b"1\x00a", b"1\x002\x003", b"1\x00" + b"9" * 5000, b"\xff\x001"]
)
def test_an_answer_that_is_none_is_refused(said: bytes):
    with pytest.raises(BakeryError, match="makes no sense"):
        _told(said)
    assert _told(b"17\x00-9") == (17, -9)


def test_a_program_that_is_not_there_is_named_before_anything_starts(opened: Cell):
    with pytest.raises(MissingTool, match="no-such-program"):
        opened.run(Command(["no-such-program"]))
    assert opened.run(shell("echo on")).stdout == b"on\n"


def open_files() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_a_cell_that_cannot_start_leaves_nothing_open():
    before = open_files()
    with pytest.raises(MissingTool):
        Cell([], Command(["no-such-program"]))
    assert open_files() == before
