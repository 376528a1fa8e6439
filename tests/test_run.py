"""Processes: bounds on time and output, and nothing left behind, however bakery ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bakery import tools
from bakery.errors import MissingTool
from bakery.run import (
    TAIL_LINES,
    CommandFailed,
    Limits,
    clean_environment,
    end,
    ending,
    run,
    spawn,
    tail,
)
from tests.leftovers import alive

SOON_SECONDS = 30
FOREVER = "sleep 1000"


def wait_until_gone(pids: list[int]) -> list[int]:
    """Those of `pids` that are still there after a generous while."""
    deadline = time.monotonic() + SOON_SECONDS
    while (left := [pid for pid in pids if alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def wait_for_pids(path: Path, count: int) -> list[int]:
    """The process ids that children wrote to `path`, once there are `count` of them."""
    deadline = time.monotonic() + SOON_SECONDS
    while time.monotonic() < deadline:
        words = path.read_text().split("\n")[:-1] if path.exists() else []
        if len(words) == count:
            return [int(word) for word in words]
        time.sleep(0.01)
    pytest.fail(f"{path} never held {count} process ids")


def family(pids: Path, then: str = FOREVER) -> list[str]:
    """A shell that starts a child of its own, writes down both ids, and then runs `then`."""
    return ["sh", "-c", f'{FOREVER} & echo "$!" >>"$0"; echo "$$" >>"$0"; {then}', str(pids)]


def test_what_a_program_prints_is_returned_apart():
    done = run(["sh", "-c", "echo out; echo err >&2"])
    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 0)
    assert done.text == "out\n"
    assert done.argv[0] == "sh"
    assert done.seconds >= 0


def test_output_that_is_no_utf8_is_still_text():
    assert run(["printf", r"a\377b"]).text == "a\N{REPLACEMENT CHARACTER}b"


def test_words_are_not_read_by_a_shell():
    assert run(["echo", "$HOME; *", "`id`"]).text == "$HOME; * `id`\n"


def test_a_program_reads_its_input_to_the_end_while_it_answers():
    many = bytes(range(256)) * 8192  # far more than a pipe holds
    assert run(["cat"], stdin=many).stdout == many


def test_a_program_that_does_not_read_its_input_is_no_error():
    assert run(["true"], stdin=b"x" * 1_000_000).returncode == 0


def test_without_input_a_program_finds_its_input_at_an_end():
    assert run(["cat"]).stdout == b""


def test_output_can_be_taken_piece_by_piece():
    pieces: list[bytes] = []
    done = run(["sh", "-c", "echo a; echo b; echo talk >&2"], on_stdout=pieces.append)
    assert b"".join(pieces) == b"a\nb\n"
    assert (done.stdout, done.stderr) == (b"", b"talk\n")


def test_a_bad_end_names_the_program_its_code_and_its_last_words():
    with pytest.raises(CommandFailed) as caught:
        run(["sh", "-c", "echo first >&2; echo last >&2; exit 3"])
    assert caught.value.message == "sh failed with exit code 3: first / last"
    assert (caught.value.program, caught.value.returncode) == ("sh", 3)


def test_a_program_that_complains_on_standard_output_is_quoted_too():
    with pytest.raises(CommandFailed, match="no such thing"):
        run(["sh", "-c", "echo no such thing; exit 1"])


def test_a_bad_end_can_be_asked_for():
    assert run(["false"], check=False).returncode == 1


def test_an_end_by_signal_is_named():
    with pytest.raises(CommandFailed, match="was ended by SIGSEGV"):
        run(["sh", "-c", "kill -SEGV $$"])


def test_a_timeout_ends_the_whole_group(tmp_path):
    pids = tmp_path / "pids"
    with pytest.raises(CommandFailed, match=r"gave no end within 0\.5 s and was stopped"):
        run(family(pids, f"trap '' TERM; {FOREVER}"), timeout=0.5)
    assert wait_until_gone(wait_for_pids(pids, 2)) == []


def test_a_timeout_holds_when_the_pipes_are_closed_and_the_program_goes_on():
    with pytest.raises(CommandFailed, match="gave no end"):
        run(["sh", "-c", f"exec >&- 2>&-; {FOREVER}"], timeout=0.5)


def test_a_child_that_keeps_the_pipe_open_does_not_hold_run_beyond_its_time(tmp_path):
    pids = tmp_path / "pids"
    with pytest.raises(CommandFailed, match="gave no end"):
        run(family(pids, "exit 0"), timeout=0.5)
    assert wait_until_gone(wait_for_pids(pids, 2)) == []


def test_a_program_that_prints_without_end_is_stopped():
    with pytest.raises(CommandFailed, match="printed without end and was stopped"):
        run(["yes"], output_limit=100_000)


def test_complaints_without_end_are_stopped_too():
    with pytest.raises(CommandFailed, match="printed without end"):
        run(["sh", "-c", "yes >&2"], output_limit=100_000)


def test_an_interrupt_ends_the_group(tmp_path):
    pids = tmp_path / "pids"

    def interrupt(_piece: bytes) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(family(pids, f"echo ready; {FOREVER}"), on_stdout=interrupt)
    assert wait_until_gone(wait_for_pids(pids, 2)) == []


def test_a_program_that_is_not_there_is_told_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setattr(tools, "find", lambda _program: None)
    with pytest.raises(MissingTool) as caught:
        run(["qemu-img", "--version"])
    assert caught.value.program == "qemu-img"
    assert caught.value.hint.endswith("qemu-utils")


def test_a_program_nobody_knows_is_told_without_a_hint():
    with pytest.raises(MissingTool) as caught:
        run(["bakery-has-no-such-program"])
    assert caught.value.hint == ""


def test_a_child_sees_a_clean_environment(monkeypatch):
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("LD_PRELOAD", "/nowhere.so")
    monkeypatch.setenv("OS_PASSWORD", "secret")
    seen = dict(line.split("=", 1) for line in run(["env"], env={"EXTRA": "1"}).text.splitlines())
    assert seen["LC_ALL"] == "C.UTF-8"
    assert seen["EXTRA"] == "1"
    assert not {"LD_PRELOAD", "OS_PASSWORD"} & set(seen)


def test_a_child_finds_the_system_programs_of_an_ordinary_user(monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin")
    assert "/usr/sbin" in clean_environment()["PATH"].split(":")


def test_a_program_runs_in_the_folder_it_is_given(tmp_path):
    assert run(["pwd"], cwd=tmp_path).text.strip() == str(tmp_path)


def test_memory_is_bounded():
    script = "x = bytearray(1 << 30)"
    limits = Limits(memory_bytes=512 << 20)
    assert run([sys.executable, "-c", script]).returncode == 0
    with pytest.raises(CommandFailed, match="MemoryError"):
        run([sys.executable, "-c", script], limits=limits)


def test_files_are_bounded(tmp_path):
    argv = ["dd", "if=/dev/zero", f"of={tmp_path / 'big'}", "bs=64k", "count=32"]
    with pytest.raises(CommandFailed):
        run(argv, limits=Limits(file_bytes=1 << 20))
    assert (tmp_path / "big").stat().st_size <= 1 << 20


def test_processor_time_is_bounded():
    with pytest.raises(CommandFailed, match=r"SIGKILL|SIGXCPU"):
        run(["sh", "-c", "while :; do :; done"], limits=Limits(cpu_seconds=1))


def test_no_limits_add_no_words():
    assert Limits().argv() == []


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


def test_a_program_ends_with_bakery_even_when_bakery_is_killed(tmp_path):
    pids = tmp_path / "pids"
    script = (
        "import sys; from bakery.run import run\n"
        "run(['sh', '-c', 'echo $$ >>$0; exec sleep 1000', sys.argv[1]], timeout=1000)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(pids)]) as bakery:
        child = wait_for_pids(pids, 1)
        bakery.send_signal(signal.SIGKILL)
    assert wait_until_gone(child) == []


@pytest.mark.parametrize("folder", ["None", "Path('/')"])
@pytest.mark.parametrize("whole", [False, True])
def test_a_program_does_not_start_for_a_bakery_that_was_killed_before_it_was_tied(
    tmp_path, whole, folder
):
    """setpriv is slow here, and bakery is killed while it is at it."""
    slow, pids = tmp_path / "setpriv", tmp_path / "pids"
    real = tools.find("setpriv")
    slow.write_text(f'#!/bin/sh\necho $$ >>{pids}\nsleep 0.5\nexec {real} "$@"\n')
    slow.chmod(0o755)
    script = (
        "from pathlib import Path; from bakery.run import spawn\n"
        f"with spawn(['sleep', '1000'], cwd={folder}, whole={whole}) as process: process.wait()"
    )
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    with subprocess.Popen([sys.executable, "-c", script], env=env) as bakery:
        child = wait_for_pids(pids, 1)
        bakery.send_signal(signal.SIGKILL)
    assert wait_until_gone(child) == []


def test_an_end_is_told_in_words():
    assert ending(4) == "failed with exit code 4"
    assert ending(-signal.SIGKILL) == "was ended by SIGKILL"
    assert ending(-200) == "failed with exit code -200"


def test_last_words_are_short_and_harmless():
    lines = [f"line {number}" for number in range(100)]
    kept = tail("\n".join(lines).encode()).split(" / ")
    assert kept == lines[-TAIL_LINES:]
    assert tail(b"\x1b[31mred\x1b[0m\n\n \xff\x00") == "[31mred[0m / \N{REPLACEMENT CHARACTER}"


def test_no_descriptor_of_bakery_reaches_a_program():
    reader, writer = os.pipe()
    os.set_inheritable(reader, True)
    try:
        listed = run(["ls", "-1", "/proc/self/fd"]).text.split()
    finally:
        os.close(reader)
        os.close(writer)
    assert str(reader) not in listed


def test_bounds_stay_within_what_the_caller_may():
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_CPU, (7, 7));"
        "from bakery.run import Limits, run;"
        "print(run(['sh', '-c', 'ulimit -t'], limits=Limits(cpu_seconds=60)).text.strip());"
        "print(run(['sh', '-c', 'ulimit -t'], limits=Limits(cpu_seconds=3)).text.strip())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["7", "3"], done.stderr
