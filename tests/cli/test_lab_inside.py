"""`bakery lab console` and `bakery lab run`: how each ends, on a lab that is only told of."""

import os
import socket
import sys
from pathlib import Path

import msgspec
import pytest

from bakery.cli import lab_inside
from bakery.host.errors import BakeryError
from bakery.lab.state import Lab
from tests.cli.inside import refusal, usage
from tests.cli.test_deploy import LAB


@pytest.fixture(autouse=True)
def lab(tmp_path, monkeypatch):
    """Its nodes' consoles are in the test's folder; a command runs where the test does."""
    node = msgspec.structs.replace(LAB.nodes[0], console=str(tmp_path / "console"))
    monkeypatch.setattr(
        "bakery.lab.state.load", lambda _: msgspec.structs.replace(LAB, nodes=(node,))
    )
    monkeypatch.setattr(Lab, "enter", lambda _lab, words: list(words))


def run(folder, command, *words):
    """Run a command whose streams are files; its exit code, what it printed, and what it said."""
    with (
        Path(os.devnull).open() as nothing,
        (folder / "out").open("w+") as out,
        (folder / "err").open("w+") as err,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, "stdin", nothing)
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        try:
            code = command.main(list(words), standalone_mode=False)
        except BakeryError as error:
            code = error.message
    return code, (folder / "out").read_text(), (folder / "err").read_text()


@pytest.mark.parametrize(
    ("words", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143)]
)
def test_a_command_ends_as_it_does(tmp_path, words, code):
    assert run(tmp_path, lab_inside.run, "sh", "-c", words)[0] == code


def test_a_command_has_its_own_options_and_the_callers_streams(tmp_path):
    words = ("--lab", str(tmp_path), "sh", "-c", "cat; echo $1; echo no >&2", "-", "--lab")
    assert run(tmp_path, lab_inside.run, *words) == (0, "--lab\n", "no\n")


def test_a_console_that_nobody_serves_is_told(tmp_path):
    error = refusal("lab", "console", "1")
    assert error.message.startswith("the console of node-1 cannot be reached: ")
    assert error.hint == "bakery lab status"


@pytest.mark.parametrize("left", [True, False])
def test_a_console_is_left_by_the_viewer_or_ends(tmp_path, monkeypatch, left):
    calls = []

    def attach(connection, keyboard, screen):
        files = [str(Path(f"/proc/self/fd/{n}").readlink()) for n in (keyboard, screen)]
        calls.append((connection.fileno() >= 0, *files))
        return left

    monkeypatch.setattr("bakery.lab.attach.attach", attach)
    near, far = socket.socketpair()
    monkeypatch.setattr("bakery.lab.terminal.connect", lambda _path: near)
    with far:
        code, _, said = run(tmp_path, lab_inside.console, "node-1")
    assert code == (0 if left else "the console of node-1 has ended")
    assert near.fileno() == -1
    assert calls == [(True, "/dev/null", str(tmp_path / "out"))]
    assert said.startswith("attached to node-1 (off); Ctrl-] detaches\n")
    assert said.endswith("\n\ndetached from node-1\n") == left


def test_a_command_and_a_node_have_to_be_named():
    assert "COMMAND" in usage("lab", "run")
    assert "NODE" in usage("lab", "console")
