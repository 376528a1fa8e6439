"""What every command has in common: --json, -v, -q, and where output goes."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner

from bakery.cli.main import cli
from bakery.cli.options import (
    EXISTING_FILE,
    EXISTING_FOLDER,
    FILE,
    FOLDER,
    PATH,
    Output,
    Seconds,
    output,
    reads_images,
    several,
)
from bakery.disk.extents import Extent
from tests.conftest import REPOSITORY


@click.command()
@click.argument("word")
@output
def command(out: Output, word: str) -> None:
    with out.report.step("bake") as step:
        step.progress(1, 1)
        step.note("warm")
    out.print(f"the {word}")
    out.document({"word": word, "extents": [Extent(1, 2)]})


def invoke(*args: str):
    return CliRunner().invoke(command, [*args, "bread"])


def test_a_person_reads_the_result_on_standard_output_and_the_talk_on_standard_error():
    done = invoke()
    assert done.exit_code == 0
    assert done.stdout == "the bread\n"
    assert [line.partition("(")[0] for line in done.stderr.splitlines()] == [
        "bake: …",
        "bake: warm",
        "bake: done ",
    ]


def test_a_program_reads_one_document_and_an_event_a_line():
    done = invoke("--json")
    assert json.loads(done.stdout) == {"word": "bread", "extents": [[1, 2]]}
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [event["kind"] for event in events] == ["started", "progress", "note", "finished"]


@pytest.mark.parametrize("option", ["-q", "--quiet"])
def test_quiet_leaves_the_result_alone(option):
    done = invoke(option)
    assert (done.stdout, done.stderr) == ("the bread\n", "")


@pytest.mark.parametrize("option", ["-v", "--verbose"])
def test_verbose_tells_every_step(option):
    assert "bake: done" in invoke(option).stderr


def test_verbose_and_quiet_exclude_each_other():
    done = invoke("-v", "-q")
    assert done.exit_code == 2
    assert "are mutually exclusive" in done.stderr


def test_a_value_json_does_not_know_is_written_as_text(tmp_path):
    @click.command()
    @output
    def tell(out: Output) -> None:
        out.document({"path": tmp_path})

    assert json.loads(CliRunner().invoke(tell, ["--json"]).stdout) == {"path": str(tmp_path)}


@pytest.mark.parametrize(("typed", "told"), [("y", "True"), ("", "False")])
def test_a_question_stands_on_its_line_until_it_is_answered(typed, told):
    code = "from tests.cli.test_options import ask; ask()"
    keyboard, terminal = os.openpty()
    with (
        os.fdopen(keyboard, "r+b", buffering=0) as person,
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=REPOSITORY,
            env=os.environ | {"TERM": "xterm"},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
        ) as asking,
    ):
        os.close(terminal)
        shown = b""
        while b"Bake? " not in shown:
            shown += person.read(1)
        person.write(typed.encode() + b"\n")
        with contextlib.suppress(OSError):  # EIO: the other side is closed
            while piece := person.read(4096):
                shown += piece
    assert asking.returncode == 0
    _, answer = shown.split(b"Bake? ")
    assert answer.startswith(f"[y/N]: {typed}\r\n".encode())
    assert told.encode() in answer


@click.command()
@output
def ask(out: Output) -> None:
    out.print(str(out.confirm("Bake?")))


def every_command(group: click.Group) -> Iterator[click.Command]:
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found
        yield found
        if isinstance(found, click.Group):
            yield from every_command(found)


def numeric(kind: object) -> bool:
    return isinstance(kind, click.types.IntParamType | click.types.FloatParamType)


@pytest.mark.parametrize("word", ["nan", "-nan", "0", "-1", "inf", "86401", "soon"])
def test_a_time_that_is_none_or_out_of_bounds_is_wrong_usage(word):
    @click.command()
    @click.option("--timeout", type=Seconds(86400))
    def wait(timeout: float) -> None:
        click.echo(timeout)

    assert CliRunner().invoke(wait, ["--timeout", "1.5"]).stdout == "1.5\n"
    refused = CliRunner().invoke(wait, ["--timeout", word])
    assert refused.exit_code == 2
    assert "Invalid value for '--timeout'" in refused.stderr


def test_every_number_that_an_option_takes_is_bounded_from_below():
    """A negative one would count from the end of something, or never be reached."""
    found = [p for command in every_command(cli) for p in command.params if numeric(p.type)]
    assert len(found) > 10
    assert [p.name for p in found if not isinstance(p.type, Seconds | click.IntRange)] == []
    assert [p.name for p in found if getattr(p.type, "min", None) is None] == []


def test_only_whoever_reads_text_gets_text():
    @click.command()
    @output
    def tell(out: Output) -> None:
        out.print("one", "t\x1bwo")
        out.styled(("thr", "bold"), ("ee", "green"), ("!", ""))
        out.text("four\nfi\x1bve")
        out.document({"six": 6})

    done = CliRunner().invoke(tell, [], color=True)
    assert done.stdout == ("one\nt\\x1bwo\n\x1b[1mthr\x1b[0m\x1b[32mee\x1b[0m!\nfour\nfi\\x1bve\n")
    assert CliRunner().invoke(tell, ["--json"]).stdout == '{\n  "six": 6\n}\n'


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ((), "live"), (("-v",), "lines"), (("-q",), "failures"), (("--json",), "json"),
        (("--json", "-q"), "json"),
    ],
)  # fmt: skip
def test_how_progress_is_shown_depends_on_the_terminal_and_the_options(monkeypatch, words, kind):
    lives = []

    class Live:
        def __init__(self, stream):
            lives.append("begun")

        def __call__(self, event):
            lives.append(event.kind)

        @contextlib.contextmanager
        def away(self):
            lives.append("away")
            yield

        def close(self):
            lives.append("closed")

    monkeypatch.setattr("bakery.host.report.LiveSink", Live)
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)

    @click.command()
    @output
    def work(out: Output) -> None:
        with contextlib.suppress(ValueError), out.report.step("bake"):
            out.confirm("Bake?")
            raise ValueError

    done = CliRunner().invoke(work, [*words], input="y\n")
    assert lives == (["begun", "started", "away", "failed", "closed"] if kind == "live" else [])
    said = [line for line in done.stderr.splitlines() if "bake" in line]
    assert len(said) == {"live": 0, "lines": 2, "failures": 1, "json": 2}[kind]
    assert all(line.startswith("{") == (kind == "json") for line in said)


def test_the_terminal_is_given_back_however_a_command_ends(monkeypatch):
    closed = []
    live = SimpleNamespace(close=lambda: closed.append(1), away=contextlib.nullcontext)
    monkeypatch.setattr("bakery.host.report.LiveSink", lambda _stream: live)
    monkeypatch.setattr("sys.stderr", SimpleNamespace(isatty=lambda: True))
    with pytest.raises(ValueError, match="x"), Output().live():
        raise ValueError("x")
    assert closed == [1]


def test_several_options_stand_in_their_order_in_the_help():
    given = several(click.argument("one"), click.option("--two"), click.option("--three"))

    @click.command()
    @given
    def take(one: str, two: str, three: str) -> None:
        click.echo(f"{one} {two} {three}")

    assert CliRunner().invoke(take, ["a", "--three", "c", "--two", "b"]).stdout == "a b c\n"
    assert [parameter.name for parameter in take.params] == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("kind", "there", "absent"),
    [
        (PATH, "file folder", True),
        (FILE, "file", True),
        (FOLDER, "folder", True),
        (EXISTING_FILE, "file", False),
        (EXISTING_FOLDER, "folder", False),
    ],
)
def test_a_path_is_one_of_its_kind(tmp_path, kind, there, absent):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()

    @click.command()
    @click.argument("path", type=kind)
    def take(path: Path) -> None:
        assert isinstance(path, Path)

    for name in ("file", "folder"):
        done = CliRunner().invoke(take, [str(tmp_path / name)])
        assert done.exit_code == (0 if name in there else 2)
    done = CliRunner().invoke(take, [str(tmp_path / "none")])
    assert done.exit_code == (0 if absent else 2)


def test_the_shortest_time_is_one_second():
    time: Any = Seconds(60)
    assert (time.convert("1", None, None), time.convert("60", None, None)) == (1.0, 60.0)
    for word in ("0.9", "60.1"):
        with pytest.raises(click.BadParameter):
            time.convert(word, None, None)


@pytest.mark.parametrize(
    ("words", "works", "ends"),
    [((), True, 0), (("--unconfined",), True, 0), (("--unconfined",), False, 0), ((), False, 1)],
)
def test_an_image_is_read_in_a_cage_or_where_that_was_permitted(monkeypatch, words, works, ends):
    monkeypatch.setattr("bakery.host.sandbox.available", lambda: works)
    monkeypatch.setattr("bakery.host.sandbox._Decision.unconfined", False)
    read = []

    @click.command()
    @click.argument("image")
    @reads_images
    def look(image: str) -> None:
        read.append(image)

    done = CliRunner().invoke(look, ["a.qcow2", *words])
    assert done.exit_code == ends
    assert read == ([] if ends else ["a.qcow2"])
