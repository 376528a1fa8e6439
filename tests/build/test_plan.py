"""Each line of a plan, and why; nothing is built, and nothing is left."""

from pathlib import Path
from typing import Any

import pytest

from bakery.build.build import build
from bakery.build.plan import UNCHANGED, plan
from bakery.build.spec import Options, Scrub
from bakery.host.errors import BakeryError
from bakery.host.report import silent
from bakery.image.engines import guestfs
from bakery.image.engines.base import Addition
from tests import tiny
from tests.build.test_once import ROOT, Counted

NEVER = "never run here"


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return tiny.make(tmp_path_factory.mktemp("tiny"), root=ROOT)


def lines(image, output, **options):
    steps = plan(image, Options(**options), output).steps
    return {step.stage: (step.state, step.why) for step in steps}


def test_of_a_new_build_every_stage_will_run(image, tmp_path):
    made = plan(image, Options(sbom=("spdx",), compress="zstd"), tmp_path / "out")
    assert [(step.stage, step.state, step.why) for step in made.steps] == [
        (name, "will run", NEVER)
        for name in ("check", "inspect", "boot", "sbom", "edit", "base", "pack")
    ]
    assert (made.layout, made.engine, made.output) == ("lv", "direct", str(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_of_a_finished_build_nothing_will_and_then_only_what_depends(image, tmp_path):
    output = tmp_path / "out"
    build(image, Options(), output, silent())
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    assert set(lines(image, output).values()) == {("have", UNCHANGED)}
    told = lines(image, output, layout="disk", compress="zstd")
    assert told["boot"] == ("have", UNCHANGED)
    assert told["edit"] == ("will run", "changed: changes, edit")
    assert told["base"] == ("will run", "changed: layout, place, reads edit")
    assert told["pack"] == ("will run", NEVER)
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == before


def test_a_result_that_was_touched_is_told_as_such(image, tmp_path):
    output = tmp_path / "out"
    made, _ = build(image, Options(), output, silent())
    with made.kernel.open("ab") as file:
        file.write(b"x")
    told = lines(image, output)
    assert told["boot"] == ("will run", "its output was altered")
    (folder,) = (output / ".bakery").glob("boot-*")
    (folder / "inputs.json").write_text("{")
    assert lines(image, output)["boot"] == ("will run", NEVER)


def test_another_image_is_checked_again(image, tmp_path):
    output, copy = tmp_path / "out", tmp_path / "copy.qcow2"
    copy.write_bytes(image.read_bytes())
    build(copy, Options(), output, silent())
    with copy.open("ab") as file:
        file.write(bytes(512))
    told = lines(copy, output)
    assert told["check"] == ("will run", "changed: reads source")
    assert told["inspect"] == ("will run", "changed: reads source")


def test_behind_an_image_that_is_still_to_be_made_nothing_is_known(image, tmp_path):
    files = (Addition(image, "/etc/a", 0o644, 0, 0),)
    made = plan(image, Options(scrub=Scrub(), files=files), tmp_path / "out")
    assert made.layout == ""
    behind = "what it does is known once there is the image of scrub"
    assert [(step.stage, step.state, step.why) for step in made.steps] == [
        ("scrub", "will run", NEVER),
        *(
            (name, "will run", behind)
            for name in ("files", "check", "inspect", "boot", "edit", "base")
        ),
    ]


def test_of_an_image_that_was_made_the_plan_goes_on(image, tmp_path):
    output, options = tmp_path / "out", dict[str, Any](scrub=Scrub())
    build(image, Options(**options), output, silent(), Counted().means)
    told = lines(image, output, **options)
    assert set(told) == {"scrub", "check", "inspect", "boot", "edit", "base"}
    assert set(told.values()) == {("have", UNCHANGED)}
    files = (Addition(image, "/etc/a", 0o644, 0, 0),)
    behind = ("will run", "what it does is known once there is the image of files")
    more = lines(image, output, files=files, **options)
    assert (more["scrub"], more["files"]) == (("have", UNCHANGED), ("will run", NEVER))
    assert more["check"] == more["inspect"] == more["base"] == behind


def test_where_looking_takes_an_appliance_nothing_is_looked_into(image, tmp_path, monkeypatch):
    monkeypatch.setattr(guestfs, "why_not", lambda: None)
    made = plan(image, Options(engine="guestfs"), tmp_path / "out")
    assert (made.engine, made.layout) == ("guestfs", "")
    told = {step.stage: step.why for step in made.steps}
    assert told["inspect"] == NEVER
    assert told["boot"] == told["base"] == "what it does is known once the image is inspected"


def test_what_edits_is_told_where_it_is_not_what_looks(image, tmp_path, monkeypatch):
    monkeypatch.setattr(guestfs, "why_not", lambda: None)
    options = Options(layout="disk", karg_append=("quiet",))
    made = plan(image, options, tmp_path / "out")
    assert made.engine == "direct"
    assert made.engine_reason.endswith("; guestfs edits, since the change alters a file's length")
    assert "edits" not in plan(image, Options(), tmp_path / "out").engine_reason


def test_a_folder_of_somebody_elses_is_refused(image, tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(BakeryError, match=r"thesis\.tex"):
        plan(image, Options(), tmp_path)
    with pytest.raises(BakeryError, match="sha256"):
        plan(image, Options(source_sha256="0" * 64), Path(tmp_path / "out"))
