"""The real guestfish, without an appliance: it can be talked to before one is launched."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.host import tools
from bakery.host.errors import BakeryError
from bakery.image.engines.guestfish import (
    LINE_LIMIT_BYTES,
    CommandRefused,
    Guestfish,
    GuestfishEnded,
    command_line,
    number,
    quoted,
    reason,
)

SILENT = ["sh", "-c", "cat >/dev/null"]
HOSTILE = [
    "",
    "two  spaces",
    " leading and trailing ",
    "'single' and \"double\"",
    "back\\slash \\n \\x41 \\",
    "$HOME `id` $(id)",
    "~root",
    "| cat /etc/passwd",
    ";rm -rf /",
    "!id",
    "<!echo echo owned",
    "# comment",
    "-dash",
    "format:raw",
    "*",
    "käse ☃ \U0001f9c0",
    "line\nline",
    "\r\t\x01\x1b[2J\x7f",
    "\udcff\udc80",  # bytes that are not UTF-8, as Python keeps them in names
    "x" * 3000,
]


@pytest.fixture
def fish(tmp_path: Path) -> Iterator[Guestfish]:
    if tools.find("guestfish") is None:
        pytest.skip("guestfish is not installed")
    fish = Guestfish(["guestfish"], {"HOME": str(tmp_path)}, tmp_path)
    yield fish
    fish.kill()


def test_an_argument_arrives_as_it_was_given_whatever_is_in_it(fish: Guestfish):
    for word in HOSTILE:
        assert fish.ask("echo", word) == word + "\n"
        assert fish.ask("echo", word, "b", word) == f"{word} b {word}\n"


def test_a_list_of_answers_keeps_its_order(fish: Guestfish):
    assert [fish.ask("echo", str(number)) for number in range(50)] == [f"{n}\n" for n in range(50)]


def test_a_refused_command_gives_the_reason_and_the_session_goes_on(fish: Guestfish):
    with pytest.raises(CommandRefused, match="call launch before using this function"):
        fish.ask("statns", "/")
    with pytest.raises(CommandRefused, match="nosuch: unknown command"):
        fish.ask("nosuch")
    assert fish.ask("echo", "still here") == "still here\n"


def test_a_line_guestfish_would_cut_in_two_is_never_sent(fish: Guestfish):
    longest = LINE_LIMIT_BYTES - len(command_line("echo", ""))
    assert fish.ask("echo", "x" * longest) == "x" * longest + "\n"
    for word in ("x" * (longest + 1), '"' * 8000, "\n" * 3000, "☃" * 3000):
        with pytest.raises(BakeryError, match="too long"):
            fish.ask("echo", word)
    assert fish.ask("echo", "in step") == "in step\n"


def test_a_nul_is_refused():
    with pytest.raises(BakeryError, match="NUL"):
        quoted("a\0b")


@given(st.text())
def test_a_quoted_word_is_one_line_without_control_characters(word: str):
    if "\0" in word:
        return
    line = quoted(word)
    assert not any(ord(c) < 0x20 or ord(c) == 0x7F for c in line)
    assert line.startswith('"')
    assert line.endswith('"')


def test_a_process_that_ends_is_told_with_the_command_it_ended_at(fish: Guestfish):
    with pytest.raises(GuestfishEnded, match="'quit'"):
        fish.ask("quit")
    assert fish.ended
    with pytest.raises(GuestfishEnded, match="'echo'"):
        fish.ask("echo", "a")


def test_no_answer_in_time_ends_the_process(tmp_path: Path):
    fish = Guestfish(SILENT, {}, tmp_path)
    with pytest.raises(GuestfishEnded, match=r"did not answer 'echo' within 0\.2 s"):
        fish.ask("echo", "a", timeout=0.2)
    assert fish.ended


def test_an_interrupted_question_ends_the_process_so_that_no_answer_is_taken_for_anothers(
    tmp_path: Path,
):
    fish = Guestfish(SILENT, {}, tmp_path)

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            fish.ask("echo", "a")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert fish.ended


def test_the_last_words_of_a_process_are_kept(tmp_path: Path):
    words = ["sh", "-c", "read line; echo 'libguestfs: error: no kernel found' >&2; exit 1"]
    fish = Guestfish(words, {}, tmp_path)
    with pytest.raises(GuestfishEnded, match="exited during 'launch': no kernel found"):
        fish.ask("launch")


def test_end_waits_for_a_clean_exit_and_tells_of_any_other(tmp_path: Path):
    fish = Guestfish(["guestfish"], {"HOME": str(tmp_path)}, tmp_path)
    fish.ask("echo", "a")
    fish.end()
    assert fish.ended
    failing = Guestfish(["sh", "-c", "cat >/dev/null; exit 3"], {}, tmp_path)
    with pytest.raises(GuestfishEnded, match="exit code 3"):
        failing.end()


def test_a_flood_of_output_is_bounded(tmp_path: Path):
    fish = Guestfish(["yes"], {}, tmp_path)
    with pytest.raises(GuestfishEnded, match="is incomplete"):
        fish.ask("echo", "a")


def test_a_reason_is_one_short_line_without_guestfishs_own_words():
    told = b"*stdin*:7: libguestfs: error: statns: /./x: No such file or directory\n"
    assert reason(told) == "statns: /./x: No such file or directory"
    many = b"libguestfs: error: one\nlibguestfs: error: two\nthree\nfour\n"
    assert reason(many) == "one / two"
    assert reason(b"\x1b[31m\n" + b"y" * 5000).endswith("…")
    assert len(reason(b"y" * 5000)) < 500


def test_nothing_of_the_callers_environment_but_the_named_reaches_guestfish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LIBGUESTFS_TRACE", "1")
    monkeypatch.setenv("LIBGUESTFS_BACKEND", "libvirt")
    environment = {"HOME": os.fspath(tmp_path), "LIBGUESTFS_BACKEND": "direct"}
    fish = Guestfish(["guestfish"], environment, tmp_path)
    assert fish.ask("get-backend") == "direct\n"
    assert fish.ask("get-trace") == "false\n"
    fish.end()


def test_a_key_is_read_by_its_command_alone_and_never_taken_for_one(tmp_path: Path):
    if tools.find("guestfish") is None:
        pytest.skip("guestfish is not installed")
    fish = Guestfish(["guestfish", "--keys-from-stdin"], {"HOME": str(tmp_path)}, tmp_path)
    try:
        with pytest.raises(CommandRefused, match="call launch before using this function"):
            fish.ask("cryptsetup-open", "/dev/sda1", "name", secret=b"quit")
        assert fish.ask("echo", "in step") == "in step\n"
    finally:
        fish.kill()


@pytest.mark.parametrize("answer", ["", "x", "-1", "1 2", "²", "9" * 5000])
def test_what_is_no_number_is_none_of_the_appliances(answer: str):
    assert number("7\n") == 7
    with pytest.raises(BakeryError, match="where a number belongs"):
        number(answer)
