"""Every hostile image against the check, in this process; test_build.py measures the memory."""

import tempfile
from pathlib import Path

import pytest

from bakery.disk.formats import safety
from bakery.host.errors import BakeryError
from tests import leftovers
from tests.hostile.kitchen import Kitchen
from tests.hostile.specimens import HOSTILE, Specimen

BY_NAME = {specimen.name: specimen for specimen in HOSTILE}


def test_there_are_two_hundred_hostile_images_and_each_has_a_name_of_its_own():
    assert len(BY_NAME) == len(HOSTILE) >= 200


@pytest.mark.parametrize("specimen", HOSTILE, ids=lambda specimen: specimen.name)
@pytest.mark.timeout(60)
def test_each_is_refused_for_its_reason_or_passes(
    specimen: Specimen, kitchen: Kitchen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder, scratch = tmp_path / "image", tmp_path / "scratch"
    folder.mkdir()
    scratch.mkdir()
    image = specimen.make(kitchen, folder)
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    before = leftovers.present()

    report = safety.check(image)
    identified = name_of(image)

    refusals = [finding.id for finding in report.refusals]
    assert (specimen.finding in refusals) if specimen.finding else not refusals, report.findings
    assert identified in (report.format, "")
    assert identified or not report.is_safe
    for finding in report.findings:
        assert finding.message
        assert len(finding.message) < 1000
    assert not list(scratch.iterdir())
    assert not processes_since(before)


@pytest.mark.parametrize(
    "specimen",
    [s for s in HOSTILE if s.cve],
    ids=lambda specimen: f"{specimen.cve}-{specimen.name}",
)
def test_the_refusal_names_the_public_hole_it_stands_against(
    specimen: Specimen, kitchen: Kitchen, tmp_path: Path
):
    report = safety.check(specimen.make(kitchen, tmp_path))
    assert specimen.cve in [cve for finding in report.refusals for cve in finding.cve]


def name_of(image: Path) -> str:
    """The format `identify` tells; empty where it refuses."""
    try:
        return safety.identify(image).name
    except BakeryError as error:
        assert error.message
        assert '"filename":' not in error.message  # QEMU's words without our node in them
        return ""


def processes_since(before: set[str]) -> set[str]:
    """Processes still there; FUSE mounts may be those of tests beside this one."""
    if not any(one.startswith("process") for one in leftovers.present() - before):
        return set()
    return {one for one in leftovers.left_since(before) if one.startswith("process")}
