"""What is put into an image counts by its content."""

import os
from types import SimpleNamespace
from typing import Any

import pytest

from bakery.build.spec import Options
from bakery.build.stages import files
from bakery.build.stages.files import FilesGiven
from bakery.host.errors import BakeryError
from bakery.image.engines.base import Addition
from bakery.image.inspection import Inspection
from tests.build.test_spec import SURVEY, entry, inspected


def given(source, *, deployment=None, layout=None, **changed):
    fields = {"source": source, "path": "/etc/a", "mode": 0o644, "owner": 0, "group": 0} | changed
    return FilesGiven(files=(Addition(**fields),), deployment=deployment, layout=layout)


def test_a_file_is_told_by_its_content_and_place_not_by_its_time_or_name(tmp_path):
    one, two, other = (tmp_path / name for name in ("one", "two", "other"))
    one.write_bytes(b"same")
    two.write_bytes(b"same")
    os.utime(two, (1, 1))
    other.write_bytes(b"else")
    told = given(one).told()
    assert given(two).told() == told
    assert given(one, deployment=0).told() == told
    assert given(one, layout="lv").told() == told
    for changed in (
        given(other),
        given(one, deployment=1),
        given(one, path="/etc/b"),
        given(one, mode=0o600),
        given(one, owner=1),
        given(one, group=1),
    ):
        assert changed.told() != told


@pytest.mark.parametrize(
    ("found", "options", "reason"),
    [
        (Inspection(survey=SURVEY), {"layout": "disk"}, "it has no boot entry"),
        (
            Inspection(survey=SURVEY, refusals={"lv": "sealed", "pv": "sealed"}),
            {"layout": "disk"},
            "sealed",
        ),
        (inspected(entry(root="/dev/gone")), {}, "it has no boot entry"),
    ],
)
def test_an_image_without_a_system_takes_no_files(tmp_path, found, options, reason):
    inputs: Any = SimpleNamespace(
        given=given(tmp_path, **options), step=None, opened=SimpleNamespace(inspection=found)
    )
    with pytest.raises(BakeryError, match=f"files cannot be put into the image: {reason}"):
        files.run(inputs, tmp_path, inputs.step)


def test_the_stage_is_there_where_files_are(tmp_path):
    assert files.STAGE.wanted(Options(files=given(tmp_path).files))
    assert not files.STAGE.wanted(Options())
