"""Commands in the test's own process: in a tenth of the time, and with what they work on put in."""

import contextlib
import json
import os
import pty
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner, Result

from bakery.cli.main import cli
from bakery.host.errors import BakeryError


def ask(*words: str | Path, **options: Any) -> Result:
    """`bakery WORDS`; `options` are those of click's runner."""
    return CliRunner().invoke(cli, [str(word) for word in words], standalone_mode=False, **options)


def told(*words: str | Path, **options: Any) -> str:
    """What a command that ends well prints for a person."""
    done = ask(*words, **options)
    assert done.exception is None and not done.return_value, (done.exception, done.output)
    return done.stdout


def document(*words: str | Path, **options: Any) -> Any:
    """What it prints for a program, however it ends."""
    return json.loads(ask(*words, "--json", **options).stdout)


def usage(*words: str | Path) -> str:
    """Why a command is called in a wrong way."""
    error = ask(*words).exception
    assert isinstance(error, click.UsageError), error
    return error.format_message()


def refusal(*words: str | Path, **options: Any) -> BakeryError:
    """Why a command does nothing."""
    error = ask(*words, **options).exception
    assert isinstance(error, BakeryError), error
    return error


def found(*path: str) -> click.Command:
    """A command by its names."""
    context = click.Context(cli)
    command: click.Command = cli
    for name in path:
        assert isinstance(command, click.Group)
        inner = command.get_command(context, name)
        assert inner
        command = inner
    return command


def numbers(*path: str) -> dict[str, tuple[float | None, float | None, Any]]:
    """Of each option of a command that takes a number: the least, the most, and the usual one."""
    return {
        option.opts[-1]: (option.type.min, option.type.max, option.to_info_dict()["default"])
        for option in found(*path).params
        if isinstance(option.type, click.IntRange | click.FloatRange)
    }


@contextlib.contextmanager
def at_a_terminal(monkeypatch: Any, columns: int = 80) -> Iterator[int]:
    """Standard output is a terminal of that width; the descriptor of its other side."""
    keyboard, terminal = pty.openpty()
    monkeypatch.setenv("COLUMNS", str(columns))
    with os.fdopen(keyboard, "rb", 0), os.fdopen(terminal, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        yield keyboard
