"""What every command has in common: --json, -v, -q, and where output goes."""

import json

import click
import pytest
from click.testing import CliRunner

from bakery.cli.options import Output, output
from bakery.disk.extents import Extent


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
    assert "exclude each other" in done.stderr


def test_a_value_json_does_not_know_is_written_as_text(tmp_path):
    @click.command()
    @output
    def tell(out: Output) -> None:
        out.document({"path": tmp_path})

    assert json.loads(CliRunner().invoke(tell, ["--json"]).stdout) == {"path": str(tmp_path)}
