from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from bakery.build.stages import inspect
from bakery.host.report import Event, Report
from bakery.image.inspection import Inspection
from tests.build.test_spec import SURVEY


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            Inspection(survey=SURVEY, os_name="Tiny 1", refusals={"pv": "no"}),
            "Tiny 1; can become lv, disk",
        ),
        (Inspection(survey=SURVEY), "unknown system; can become pv, lv, disk"),
        (
            Inspection(survey=SURVEY, refusals={"pv": "a", "lv": "b", "disk": "c"}),
            "unknown system; can become nothing",
        ),
    ],
)
def test_what_an_image_is_is_kept_and_said(tmp_path, found, said):
    found = msgspec.structs.replace(found, notes=("one", "two"))
    events: list[Event] = []
    with Report(events.append).step("inspect") as step:
        inputs: Any = SimpleNamespace(opened=SimpleNamespace(inspection=found))
        inspect.run(inputs, tmp_path, step)
    assert [event.text for event in events if event.kind == "note"] == ["one", "two"]
    assert events[-1].text == said
    (file,) = tmp_path.iterdir()
    assert file.name == "inspection.json"
    assert msgspec.json.decode(file.read_bytes(), type=Inspection) == found
