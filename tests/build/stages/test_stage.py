"""A stage reads what it declared and nothing else, and the loop knows it by its properties."""

import ast
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bakery.build import build, plan
from bakery.build.spec import Options
from bakery.build.stages.job import SOURCE, Job
from bakery.build.stages.stage import (
    Given,
    Inputs,
    Stage,
    Undeclared,
    go_on_from,
    is_kept,
    run_stage,
    settle,
    write_json,
)
from bakery.build.stages.table import STAGES
from bakery.host.report import Step, silent
from bakery.host.workdir import WorkDir
from bakery.image.source import read_image
from tests import tiny

Read = Callable[[Inputs["Number"]], Any]


class Number(Given, frozen=True, kw_only=True):
    number: int = 1


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    (tmp_path / "in").mkdir()
    image = read_image(tiny.make(tmp_path / "in"), silent())
    work = WorkDir(tmp_path / "out")
    with work.locked():
        yield Job(image, Options(), "direct", work, silent())


def stage(name: str, *reads: str, read: Read = lambda _inputs: 0, number: int = 1) -> Stage[Number]:
    """A stage whose result is what it reads."""

    def run(inputs: Inputs[Number], folder: Path, _step: Step) -> None:
        write_json(folder / "read.json", read(inputs))

    return Stage(
        name=name,
        version=1,
        text="",
        reads=reads,
        given=lambda _job: Number(number=number),
        run=run,
    )


def test_what_is_declared_can_be_read(job: Job):
    run_stage(stage("first", SOURCE, read=lambda inputs: inputs.image.format), job)
    second = stage("second", "first", read=lambda i: i.read("first", "read.json", str) + "!")
    run_stage(second, job)
    assert job.read("second", "read.json", str) == "qcow2!"


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (lambda inputs: inputs.image, SOURCE),
        (lambda inputs: inputs.opened, SOURCE),
        (lambda inputs: inputs.inspection, "inspect"),
        (lambda inputs: inputs.read("first", "read.json", int), "first"),
        (lambda inputs: inputs.file("first", "read.json"), "first"),
        (lambda inputs: inputs.beside("first", object), "first"),
    ],
)
def test_what_is_not_declared_cannot(job: Job, read: Read, name: str):
    run_stage(stage("first"), job)
    with pytest.raises(Undeclared, match=f"the stage second does not read {name}"):
        run_stage(stage("second", read=read), job)
    assert "second" not in job.results


def test_the_key_tells_all_that_can_be_read(job: Job):
    run_stage(stage("first", number=1), job)
    before = stage("second", SOURCE, "first").key(job)
    assert stage("second", SOURCE, "first").key(job) == before
    assert stage("second", SOURCE, "first", number=2).key(job) != before
    assert stage("second", SOURCE).key(job) != before
    run_stage(stage("first", number=2), job)
    other = stage("second", SOURCE, "first").key(job)
    assert other != before
    job.keys[SOURCE] = "another image"
    assert stage("second", SOURCE, "first").key(job) not in (before, other)


def test_a_result_that_is_there_is_not_made_again(job: Job):
    made: list[int] = []
    counting = stage("first", read=lambda _inputs: made.append(1))
    run_stage(counting, job)
    run_stage(counting, job)
    assert made == [1]


def test_every_stage_reads_the_image_or_what_comes_before_it():
    before = {SOURCE}
    for known in STAGES:
        assert set(known.reads) <= before, known.name
        before.add(known.name)


def test_stages_that_make_another_image_come_first_and_one_settles_what_is_built():
    remakes = [known.remakes for known in STAGES]
    assert remakes == sorted(remakes, reverse=True)
    (settling,) = [known for known in STAGES if known.settles]
    assert settling is next(known for known in STAGES if not known.remakes)


@pytest.mark.parametrize("module", [build, plan])
def test_the_loop_names_no_stage(module: Any):
    tree = ast.parse(inspect.getsource(module))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
             if node.module == "bakery.build.stages" for alias in node.names}  # fmt: skip
    known = {known.name for known in STAGES}
    assert known & texts == set()
    assert known & names == set()


class Beside:
    def start(self) -> None: ...

    def close(self) -> None: ...


def test_what_was_begun_for_a_stage_is_its_own_and_that_of_who_reads_it(job: Job):
    work = Beside()
    job.begin("first", work)
    first, second = stage("first"), stage("second", "first")
    assert Inputs(job, first).beside("first", Beside) is work
    assert Inputs(job, second).beside("first", Beside) is work
    assert Inputs(job, second).beside("second", Beside) is None
    Inputs(job, second).withdraw()
    assert job.beside("first") is work
    Inputs(job, first).withdraw()
    assert job.beside("first") is None


def test_a_result_tells_what_its_key_is_made_of(job: Job):
    run_stage(stage("first", SOURCE), job)
    told = msgspec.json.decode((job.results["first"] / "inputs.json").read_bytes())
    assert told == {"stage": "first 1", "reads source": job.image.digest, "number": 1}
    assert job.keys["first"] == stage("first", SOURCE).key(job)
    assert len(job.keys["first"]) == 16


def test_what_a_stage_hands_back_is_handed_on_and_once_it_is_there_nothing_is(job: Job):
    made = msgspec.structs.replace(stage("first"), run=lambda _i, folder, _s: handed(folder))
    handed_back: Any = run_stage(made, job)
    assert handed_back == "opened"
    assert run_stage(made, job) is None


def handed(folder: Path) -> Any:
    (folder / "x").touch()
    return "opened"


def test_a_stage_that_works_outside_leaves_its_folder_until_it_stands(job: Job):
    outside = msgspec.structs.replace(stage("first"), under_way="making")
    assert Inputs(job, outside).under_way == job.work.path / "making"
    assert not is_kept(outside, job.work)
    Inputs(job, outside).under_way.mkdir()
    assert not is_kept(outside, job.work)  # there is nothing in it
    (job.work.path / "making/x").touch()
    assert is_kept(outside, job.work)
    assert not is_kept(stage("first"), job.work)
    settle(stage("first"), job.work)
    assert is_kept(outside, job.work)
    settle(outside, job.work)
    assert not (job.work.path / "making").exists()
    run_stage(outside, job)
    assert is_kept(outside, job.work)
    assert not is_kept(stage("first"), job.work)


def test_from_an_image_that_a_stage_made_all_goes_on(job: Job, tmp_path: Path):
    (tmp_path / "two").mkdir()
    job.results["first"] = tmp_path / "two"
    tiny.make(tmp_path / "two").rename(tmp_path / "two/image")
    before = job.keys[SOURCE]
    assert go_on_from(stage("first"), job, None, job.work) == "first.json"
    assert job.image.path == tmp_path / "two/image"
    assert (job.work.path / "first.json").exists()
    assert before != ""


def test_a_json_file_of_a_result_ends_in_a_newline(tmp_path: Path):
    write_json(tmp_path / "a.json", {"a": 1})
    assert (tmp_path / "a.json").read_bytes() == b'{"a":1}\n'
