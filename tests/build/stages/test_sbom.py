"""The documents of the chosen system, where there is one."""

from types import SimpleNamespace
from typing import Any

import pytest

from bakery.build.sbom.packages import Installed, Package
from bakery.build.spec import Options
from bakery.build.stages import sbom
from bakery.build.stages.sbom import SbomGiven
from bakery.host.errors import BakeryError
from bakery.host.report import Event, Report
from tests.build.test_spec import PLAIN, entry

PACKAGES = (Package(kind="deb", name="a", version="1", architecture="all"),)


@pytest.fixture
def asked(monkeypatch):
    """What is asked for the packages; the answer is one."""
    calls = []

    def read(*told):
        calls.append(told)
        assert told[3].is_dir()
        return Installed("x", "1", PACKAGES)

    monkeypatch.setattr(sbom, "read", read)
    return calls


def run(tmp_path, refusals=None, **given):
    fields: dict[str, Any] = {"forms": ("spdx", "cyclonedx"), "name": "lab", "time": None}
    fields |= {"entry": entry(etc="/ostree/etc"), "root": PLAIN}
    inputs: Any = SimpleNamespace(
        given=SbomGiven(**fields | given),
        inspection=SimpleNamespace(refusals=refusals or {}),
        opened=SimpleNamespace(session=lambda: "engine"),
        image=SimpleNamespace(digest="sha256:0"),
        scratch=tmp_path / "scratch",
    )
    (tmp_path / "scratch").mkdir()
    (tmp_path / "out").mkdir()
    said: list[Event] = []
    with Report(said.append).step("sbom") as step:
        sbom.run(inputs, tmp_path / "out", step)
    return {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}, said[-1].text


def test_each_form_is_a_document_of_the_entrys_system(tmp_path, asked):
    files, said = run(tmp_path)
    assert asked == [("engine", PLAIN, "/ostree", tmp_path / "scratch/sbom")]
    assert set(files) == {"spdx.json", "cdx.json"}
    assert '"SPDX-2.3"' in files["spdx.json"]
    assert '"CycloneDX"' in files["cdx.json"]
    assert all("sha256:0" in text and '"lab"' in text for text in files.values())
    assert said == "1 packages, spdx, cyclonedx"


@pytest.mark.parametrize("given", [{"entry": None}, {"root": None}])
@pytest.mark.parametrize(
    ("refusals", "reason"), [({}, "it has no boot entry"), ({"lv": "sealed"}, "sealed")]
)
def test_without_a_system_nothing_can_be_told(tmp_path, asked, given, refusals, reason):
    with pytest.raises(
        BakeryError, match=f"cannot tell what is installed in the image: {reason}"
    ) as refused:
        run(tmp_path, refusals, **given)
    assert refused.value.hint == "build it without a bill of materials"
    assert asked == []


def test_the_stage_is_there_where_a_document_is_asked_for(monkeypatch):
    assert sbom.STAGE.wanted(Options(sbom=("spdx",)))
    assert not sbom.STAGE.wanted(Options())
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "5")
    spec = SimpleNamespace(name="lab", entry=None, root=None)
    job: Any = SimpleNamespace(spec=spec, options=Options(sbom=("spdx",)))
    given = sbom.STAGE.given(job)
    assert (given.forms, given.name, given.time) == (("spdx",), "lab", 5)
