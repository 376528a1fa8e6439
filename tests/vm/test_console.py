import io
import socket
import threading

import pytest

from bakery.vm.console import CUT_MARK, LINE_LIMIT_CHARACTERS, Console, Lines


def lines_of(text: bytes, step: int) -> list[str]:
    """What `text` says when it arrives in pieces of `step` bytes; the open line last."""
    lines = Lines()
    said = [line for at in range(0, len(text), step) for line in lines.feed(text[at : at + step])]
    return [*said, lines.partial]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        (b"one\r\ntwo\nthree", ["one", "two", "three"]),
        (
            b"\x1b[0;32m  OK  \x1b[0m] Started\r\r\nhost login: ",
            ["  OK  ] Started", "host login: "],
        ),
        (b"\x1b]0;a title\x07text\x1b(B\x1b[?2004l\r\n", ["text", ""]),
        (b"first\x1b[5;1Hsecond", ["first", "second"]),
        (b"error\r\ngrub \x1b[07;05H\x1b[07;06Hrescue> ", ["error", "grub rescue> "]),
        (b"first\x1b[5;3Hsecond\x1b[Hthird", ["first", "second", "third"]),
        ("caf\u00e9 \u2026\n".encode(), ["caf\u00e9 \u2026", ""]),
        (b"device \x1b[0;1;\xe2\x80\xa6end\n", ["device \u2026end", ""]),
        (b"bell\x07 and nul\x00\n", ["bell and nul", ""]),
    ],
)
def test_escape_sequences_go_however_the_bytes_are_cut(raw, clean, step):
    said = lines_of(raw, step)
    assert [line for line in said[:-1] if line] + said[-1:] == clean


def test_a_sequence_that_never_ends_hides_nothing_for_long():
    lines = Lines()
    assert lines.feed(b"\x1b]0;" + b"x" * 1000) == []
    assert lines.feed(b"\nhost login: ") != []
    assert lines.partial == "host login: "


def test_bytes_that_are_no_text_are_shown_as_marks():
    assert lines_of(b"\xff\xfeok\n", 1000)[0] == "\N{REPLACEMENT CHARACTER}" * 2 + "ok"


def test_a_line_without_end_is_bounded():
    lines = Lines()
    for _ in range(20):
        lines.feed(b"x" * LINE_LIMIT_CHARACTERS)
    assert len(lines.partial) <= LINE_LIMIT_CHARACTERS


def test_the_console_is_kept_byte_for_byte_up_to_its_limit():
    log = io.BytesIO()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        watched = Console(ours, log, limit_bytes=10)
        for piece in (b"\x1b[1mabc", b"defgh", b"ijk"):
            theirs.sendall(piece)
            watched.read(5)
    assert log.getvalue() == b"\x1b[1mabcdef" + CUT_MARK
    assert watched.received_bytes == len(b"\x1b[1mabcdefghijk")


def test_the_other_end_gone_closes_the_console_and_gives_the_open_line():
    ours, theirs = socket.socketpair()
    with ours:
        watched = Console(ours, io.BytesIO())
        with theirs:
            theirs.sendall(b"last words")
        assert watched.read(5) == []
        assert watched.read(5) == ["last words"]
        assert watched.closed
        watched.send("too late\n")


@pytest.mark.parametrize(
    ("pieces", "kept"),
    [
        ([b"12345", b"67890"], b"1234567890"),
        ([b"12345", b"67890", b"!", b"!"], b"1234567890" + CUT_MARK),
        ([b"12345678901", b"!"], b"1234567890" + CUT_MARK),
    ],
)
def test_the_file_says_once_that_it_is_full(pieces, kept):
    log = io.BytesIO()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        watched = Console(ours, log, limit_bytes=10)
        for piece in pieces:
            theirs.sendall(piece)
            watched.read(5)
    assert log.getvalue() == kept
    assert watched.received_bytes == sum(map(len, pieces))


def test_what_is_kept_is_in_the_file_at_once(tmp_path):
    ours, theirs = socket.socketpair()
    with ours, theirs, (tmp_path / "log").open("wb") as log:
        theirs.sendall(b"so far")
        Console(ours, log).read(5)
        assert (tmp_path / "log").read_bytes() == b"so far"


def test_a_console_that_is_torn_away_is_closed():
    ours, theirs = socket.socketpair()
    with ours:
        watched = Console(ours, io.BytesIO())
        watched.send("nobody reads this")
        theirs.close()
        assert watched.read(5) == [""]
        assert watched.closed
        assert watched.read(5) == []


def test_typing_at_a_console_that_is_gone_closes_it():
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours:
        watched = Console(ours, io.BytesIO())
        watched.send("x")
        assert watched.closed
        watched.send("y")


def test_all_that_is_typed_is_taken_by_a_slow_guest():
    ours, theirs = socket.socketpair()
    text = "x" * (1 << 20)
    got = bytearray()

    def take():
        while len(got) < len(text):
            got.extend(theirs.recv(4096))

    with ours, theirs:
        guest = threading.Thread(target=take, daemon=True)
        guest.start()
        Console(ours, io.BytesIO()).send(text, seconds=30)
        guest.join(30)
    assert got.decode() == text


def test_nothing_said_is_no_line_and_no_end():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        watched = Console(ours, io.BytesIO())
        assert watched.read(-1) == watched.read(0.01) == []
        assert not watched.closed
        theirs.sendall(b"log")
        assert (watched.read(5), watched.partial) == ([], "log")


def test_what_nobody_takes_is_dropped_in_bounded_time():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        Console(ours, io.BytesIO()).send("x" * (8 << 20), seconds=0.2)
