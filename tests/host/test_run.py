"""Processes: bounds on time and output, and nothing left behind, however bakery ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bakery.host import run as module
from bakery.host import tools
from bakery.host.errors import MissingTool
from bakery.host.run import (
    TAIL_LINES,
    CommandFailed,
    Limits,
    clean_environment,
    ending,
    run,
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
    assert caught.value.returncode == 3


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
    with pytest.raises(CommandFailed, match=r"did not finish within 0\.5 s and was stopped"):
        run(family(pids, f"trap '' TERM; {FOREVER}"), timeout=0.5)
    assert wait_until_gone(wait_for_pids(pids, 2)) == []


def test_a_timeout_holds_when_the_pipes_are_closed_and_the_program_goes_on():
    with pytest.raises(CommandFailed, match="did not finish"):
        run(["sh", "-c", f"exec >&- 2>&-; {FOREVER}"], timeout=0.5)


def test_a_child_that_keeps_the_pipe_open_does_not_hold_run_beyond_its_time(tmp_path):
    pids = tmp_path / "pids"
    with pytest.raises(CommandFailed, match="did not finish"):
        run(family(pids, "exit 0"), timeout=0.5)
    assert wait_until_gone(wait_for_pids(pids, 2)) == []


def test_a_program_that_prints_without_end_is_stopped():
    with pytest.raises(CommandFailed, match="printed too much and was stopped"):
        run(["yes"], output_limit=100_000)


def test_complaints_without_end_are_stopped_too():
    with pytest.raises(CommandFailed, match="printed too much"):
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
    assert "'qemu-img'" in caught.value.message
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


def test_a_program_ends_with_bakery_even_when_bakery_is_killed(tmp_path):
    pids = tmp_path / "pids"
    script = (
        "import sys; from bakery.host.run import run\n"
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
        "from pathlib import Path; from bakery.host.run import spawn\n"
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
    assert tail(b"\x1b[31mred\n\n \xff\x00") == "\\x1b[31mred / \ufffd\\x00"


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
        "from bakery.host.run import Limits, run;"
        "print(run(['sh', '-c', 'ulimit -t'], limits=Limits(cpu_seconds=60)).text.strip());"
        "print(run(['sh', '-c', 'ulimit -t'], limits=Limits(cpu_seconds=3)).text.strip())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["7", "3"], done.stderr


def test_output_may_be_as_long_as_the_bound_and_no_longer():
    assert run(["printf", "12345"], output_limit=5).stdout == b"12345"
    for words in ("printf 123456", "printf 1234; printf 56 >&2", "printf 123456 >&2"):
        with pytest.raises(CommandFailed, match="sh printed too much and was stopped"):
            run(["sh", "-c", f"{words}; sleep 1000"], output_limit=5)


def test_what_is_taken_piece_by_piece_is_not_bounded_but_complaints_are():
    pieces: list[bytes] = []
    run(["sh", "-c", "printf 123456; printf 12345 >&2"], on_stdout=pieces.append, output_limit=5)
    assert b"".join(pieces) == b"123456"
    with pytest.raises(CommandFailed, match="printed too much"):
        run(["sh", "-c", "printf 123456 >&2"], on_stdout=pieces.append, output_limit=5)


def test_a_program_that_is_out_of_time_is_not_asked_to_end(tmp_path):
    """It has had its time; what it would do on SIGTERM might take as long again."""
    asked = tmp_path / "asked"
    words = f"trap 'echo x >{asked}' TERM; echo last words >&2; while :; do sleep 0.05; done"
    with pytest.raises(CommandFailed) as caught:
        run(["sh", "-c", words], timeout=0.5, name="it")
    assert caught.value.message == ("it did not finish within 0.5 s and was stopped: last words")
    assert (caught.value.tail, caught.value.returncode) == ("last words", -1)
    assert not asked.exists()


def test_input_that_nobody_reads_holds_nobody_up():
    with pytest.raises(CommandFailed, match="did not finish"):
        run(["sleep", "1000"], stdin=b"x" * (1 << 20), timeout=0.3)
    assert run(["head", "-c", "3"], stdin=b"x" * (1 << 22)).stdout == b"xxx"


def test_a_name_stands_in_for_the_programs():
    with pytest.raises(CommandFailed, match=r"^the check failed with exit code 2$"):
        run(["sh", "-c", "exit 2"], name="the check")
    with pytest.raises(CommandFailed, match=r"^false failed"):
        run([tools.find("false") or ""])


def test_limits_are_the_words_of_prlimit():
    words = Limits(memory_bytes=1 << 30, cpu_seconds=2, file_bytes=3).argv()
    assert words == ["prlimit", "--as=1073741824", "--cpu=2", "--fsize=3", "--"]
    assert Limits(file_bytes=0).argv() == ["prlimit", "--fsize=0", "--"]
    assert run(["sh", "-c", "ulimit -t"], limits=Limits(cpu_seconds=9)).text == "9\n"


def test_a_child_sees_what_it_is_given_over_what_is_kept(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("TMPDIR", "/tmp/mine")
    monkeypatch.delenv("USER", raising=False)
    monkeypatch.setenv("SECRET", "x")
    seen = clean_environment({"LC_ALL": "de_DE", "NEW": "y"})
    assert seen == {
        "HOME": "/home/me", "TMPDIR": "/tmp/mine", "PATH": tools.search_path(),
        "LC_ALL": "de_DE", "NEW": "y",
    }  # fmt: skip
    assert clean_environment()["LC_ALL"] == "C.UTF-8"


def guard(**how):
    """The words in front of a command, up to the program itself."""
    return module._guard(how.pop("cwd", None), **how)


def test_a_program_is_tied_to_bakery_alone_or_with_all_it_starts(tmp_path):
    alive_words = ["env", f"--chdir=/proc/{os.getpid()}/cwd", "--"]
    assert guard(whole=False) == ["setpriv", "--pdeathsig", "KILL", "--", *alive_words]
    assert guard(whole=True) == [
        *("setpriv", "--pdeathsig", "ALRM", "--", *alive_words),
        *("timeout", "--signal=KILL", "0"),
    ]
    assert guard(whole=False, cwd=tmp_path)[5] == f"--chdir=/proc/{os.getpid()}/root{tmp_path}"


def test_where_another_process_may_not_be_looked_at_nothing_is_asked_of_it(monkeypatch):
    monkeypatch.setattr(module, "_looks_at", lambda _pid: False)
    assert guard(whole=False) == ["setpriv", "--pdeathsig", "KILL", "--"]


def test_whether_a_process_can_be_looked_at_is_tried():
    assert module._looks_at(os.getpid())
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    assert not module._looks_at(gone.pid)


def test_without_setpriv_a_program_runs_all_the_same(monkeypatch):
    real = tools.find
    monkeypatch.setattr(tools, "find", lambda name: None if name == "setpriv" else real(name))
    assert run(["sh", "-c", "ps -o comm= -p $PPID"]).text != ""
    monkeypatch.setattr(module, "_guard", lambda *_, **__: pytest.fail("it is not there"))
    assert run(["echo", "x"]).text == "x\n"


def test_last_words_are_of_the_end_alone():
    assert tail(b"a\nb\nc", 2) == "b / c"
    long = b"first\n" + b"x" * 16384
    assert "first" not in tail(long) and len(tail(long)) == 16384
    assert tail(b"first\n" + b"x" * 16378) == "first / " + "x" * 16378
