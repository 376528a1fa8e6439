"""Which node is told to listen, and where."""

import contextlib
import io
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from bakery.conductor import multicast
from bakery.conductor.multicast import PORT, Cast
from bakery.host.plain_file import Seal, seal
from bakery.host.run import spawn as spawn_really
from bakery.node.agent import cipher
from tests import processes

pytestmark = pytest.mark.xdist_group("udpcast")  # they share the machine's ports


@pytest.fixture
def image(tmp_path: Path) -> Seal:
    path = tmp_path / "base.zst"
    path.write_bytes(b"frames" * 1_000_000)
    return seal(path)


def senders(count: int) -> list[int]:
    """So many senders, awaited: a program that is just being started has no words."""
    deadline = time.monotonic() + 10
    while len(found := processes.children(multicast.PROGRAM)) != count:
        assert time.monotonic() < deadline, f"{len(found)} senders, not {count}"
        time.sleep(0.01)
    return found


def test_nodes_that_ask_together_share_a_sender(image: Seal):
    with multicast.casting(image, "lo", 3) as there:
        assert there
        assert [there.cast() for _ in range(3)] == [Cast(PORT, there.key)] * 3
        assert senders(1)
    assert senders(0) == []


def test_who_is_late_has_the_next_sender_and_the_last_one_fetches(image: Seal):
    with multicast.casting(image, "lo", 3, late_seconds=multicast.JOIN_SECONDS) as there:
        assert there
        assert [there.cast() for _ in range(3)] == [
            Cast(PORT, there.key),
            Cast(PORT + 2, there.key),
            None,
        ]
        assert senders(2)
    assert senders(0) == []


def test_a_sender_that_died_has_a_successor(image: Seal):
    with multicast.casting(image, "lo", 3) as there:
        assert there
        first = there.cast()
        (sender,) = senders(1)
        os.kill(sender, signal.SIGKILL)
        assert processes.has_ended(sender)
        second = there.cast()
        assert first and second and (first.port, second.port) == (PORT, PORT + 2)


def test_one_node_alone_fetches(image: Seal):
    with multicast.casting(image, "lo", 1) as there:
        assert there is None


def test_two_nodes_are_worth_a_sender_where_there_is_the_program(image: Seal, monkeypatch):
    with multicast.casting(image, "lo", 2) as there:
        assert there
        assert there.cast() == (PORT, there.key)
    monkeypatch.setattr("bakery.host.tools.find", lambda _program: None)
    with multicast.casting(image, "lo", 2) as there:
        assert there is None


def test_a_sender_is_told_where_it_sends_and_whom_it_waits_for():
    words = [str(word) for word in multicast.argv("br0", 9002, 3)]
    assert words == [
        "udp-sender", "--interface", "br0", "--nokbd",
        "--portbase", "9002", "--min-receivers", "3", "--max-wait", "15",
        "--retries-until-drop", "50", "--rexmit-hello-interval", "1000",
        "--full-duplex", "--nopointopoint",
    ]  # fmt: skip


def test_a_sender_waits_for_all_that_have_not_asked(image: Seal, monkeypatch):
    asked = []

    @contextlib.contextmanager
    def spawn(words, stdin):
        asked.append([str(word) for word in words])
        yield SimpleNamespace(poll=lambda: None, stdin=io.BytesIO())

    clock = iter([0.0, 11.9, 12.0, 30.0])
    monkeypatch.setattr(multicast, "spawn", spawn)
    monkeypatch.setattr("bakery.conductor.multicast.time.monotonic", lambda: next(clock))
    with contextlib.closing(multicast.Casting(image, "lo", 4)) as there:
        assert [cast and cast.port for cast in (there.cast() for _ in range(4))] == [
            *(PORT, PORT, PORT + 2, None),
        ]
    waits = [words[words.index("--min-receivers") + 1] for words in asked]
    assert waits == ["4", "2"]
    assert [words[words.index("--portbase") + 1] for words in asked] == ["9000", "9002"]


@pytest.fixture
def sent(image: Seal, monkeypatch) -> Path:
    """Where `cat` sends to, in the place of the program; there is `sent.done` when it has ended."""
    path = image.path.with_name("sent")

    @contextlib.contextmanager
    def spawn(_words, stdin):
        words: list[str | Path] = ["sh", "-c", 'cat >"$0"; touch "$0.done"', path]
        with spawn_really(words, stdin=stdin) as process:
            yield process

    monkeypatch.setattr(multicast, "spawn", spawn)
    return path


def sent_by(there: multicast.Casting, path: Path) -> multicast.Cast:
    """A sender's work, to its end."""
    cast = there.cast()
    assert cast is not None
    deadline = time.monotonic() + 60
    while not path.with_name("sent.done").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return cast


def test_what_is_sent_is_encrypted_with_the_key_that_the_nodes_are_given(image: Seal, sent: Path):
    content = image.path.read_bytes()
    with contextlib.closing(multicast.Casting(image, "lo", 2)) as there:
        cast = sent_by(there, sent)
    encrypted = sent.read_bytes()
    assert len(cast.key) == 32
    assert b"frames" not in encrypted
    assert cipher.decrypted(cast.key, 0, encrypted) == content
    assert cipher.decrypted(cast.key, 65_537, encrypted[65_537:70_000]) == content[65_537:70_000]


def test_a_file_that_has_changed_since_it_was_checked_is_not_sent(image: Seal, sent: Path):
    image.path.write_bytes(b"another")
    with contextlib.closing(multicast.Casting(image, "lo", 2)) as there:
        sent_by(there, sent)
    assert sent.read_bytes() == b""


def test_each_deploy_has_a_key_of_its_own(image: Seal):
    one, other = multicast.Casting(image, "lo", 2), multicast.Casting(image, "lo", 2)
    with contextlib.closing(one), contextlib.closing(other):
        assert one.key != other.key
