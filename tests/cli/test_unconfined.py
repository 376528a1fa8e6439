"""Where there is no cage, a command that would parse an image says so, and does nothing."""

import importlib

import pytest
from click.testing import CliRunner

from bakery.cli.main import COMMANDS
from bakery.host import sandbox
from bakery.host.errors import BakeryError
from bakery.host.sandbox import NoCage

WORDS = {
    "inspect": ["IMAGE"],
    "check": ["IMAGE"],
    "plan": ["IMAGE"],
    "build": ["IMAGE", "-o", "out"],
    "scrub": ["IMAGE", "-o", "clean"],
    "restore": ["IMAGE", "--recovery", "file", "--private-key", "file"],
    "upload": ["folder"],
    "download": ["NAME", "-o", "out"],
}


@pytest.fixture(autouse=True)
def no_cage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "IMAGE").write_bytes(bytes(1 << 20))
    monkeypatch.setattr(sandbox, "available", lambda: False)
    monkeypatch.setattr(sandbox._Decision, "unconfined", False)


def call(name: str, *words: str) -> BaseException | None:
    command = importlib.import_module(COMMANDS[name]).command
    return CliRunner().invoke(command, words).exception


@pytest.mark.parametrize("name", WORDS)
def test_an_image_is_not_read_without_a_cage(name, tmp_path):
    refused = call(name, *WORDS[name])
    assert isinstance(refused, NoCage)
    assert "--unconfined" in refused.hint
    assert [path.name for path in tmp_path.iterdir()] == ["IMAGE"]


@pytest.mark.parametrize("name", WORDS)
def test_who_trusts_the_image_is_let_go_on(name):
    went = call(name, *WORDS[name], "--unconfined")
    assert not isinstance(went, NoCage)
    assert went is None or isinstance(went, BakeryError | SystemExit)
