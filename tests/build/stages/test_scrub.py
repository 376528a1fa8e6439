"""What a scrub is asked for by content, and what it takes over from a run that was killed."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bakery.build.scrub import rules
from bakery.build.scrub.find import Findings, Found
from bakery.build.scrub.unsearched import Unsearched
from bakery.build.scrub.work import Request
from bakery.build.spec import Options, Recovery, Scrub
from bakery.build.stages import scrub
from bakery.build.stages.scrub import ScrubGiven
from bakery.host.report import Event, Report

RULES = rules.load()
FOUND = Found("keys", "/dev/sda1", "/key", 3, "why", "remove")


def told(request=None, of=RULES):
    return ScrubGiven(request=request or Scrub(), rules=of).told()


def test_rules_and_key_count_by_content_and_the_archive_by_name(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("key")
    two.write_text("key")
    kept = Scrub(recovery=Recovery(Path("/a/kept"), one))
    assert told(kept) == told(Scrub(recovery=Recovery(Path("/b/kept"), two)))
    two.write_text("other")
    others = [
        told(),
        told(of=RULES[1:]),
        told(kept),
        told(Scrub(recovery=Recovery(Path("/a/other"), one))),
        told(Scrub(leave_unsearched=("/home",))),
        told(Scrub(recovery=Recovery(Path("/a/kept"), two))),
        told(Scrub(recovery=Recovery(Path("/a/kept"), Path("age1spelled")))),
    ]
    assert len({repr(one) for one in others}) == len(others)
    assert told(Scrub(rules=Path("/x"))) == told()  # what they say counts


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The stage, with a scrub that writes what it is to make; what both were told."""
    asked: list[Any] = []
    said: list[Event] = []

    def scrubbed(opened, draft, request, report, show, open_new):
        asked.append((opened, draft.out, request, open_new))
        lost = Unsearched("/a", "/dev/md0", "/etc/fstab:1", "is an array")
        show(Findings((), (), (), (), unsearched=(lost,), notes=("one", "two")))
        draft.out.write_bytes(b"made")
        return Findings((FOUND, FOUND), (), (), ()), "the new image"

    monkeypatch.setattr(scrub, "scrub", scrubbed)
    (tmp_path / "scrub-key").mkdir()
    inputs: Any = SimpleNamespace(
        given=ScrubGiven(
            request=Scrub(recovery=Recovery(Path("a"), Path("k")), leave_unsearched=("/a",)),
            rules=RULES,
        ),
        under_way=tmp_path / "scrubbing",
        opened="the image",
        open="open",
        report=None,
    )

    def run_it():
        with Report(said.append).step("scrub") as step:
            return scrub.run(inputs, tmp_path / "scrub-key", step)

    ran: Any = run_it
    ran.asked, ran.said, ran.folder = asked, said, tmp_path
    return ran


def test_the_image_is_made_where_it_outlives_a_kill_and_linked(run):
    assert run() == "the new image"
    made = run.folder / "scrubbing/scrub-key"
    asked = Request(rules=RULES, recovery=Recovery(Path("a"), Path("k")), leave_unsearched=("/a",))
    assert run.asked == [("the image", made, asked, "open")]
    image = run.folder / "scrub-key/image"
    assert image.read_bytes() == b"made"
    assert image.stat().st_ino == made.stat().st_ino
    assert [event.text for event in run.said if event.kind == "note"] == [
        *("one", "two", "not searched: /a (/etc/fstab:1): /dev/md0 is an array")
    ]
    assert run.said[-1].text == "2 files and folders taken"


def test_what_a_killed_run_made_is_taken_over(run):
    (run.folder / "scrubbing").mkdir()
    (run.folder / "scrubbing/scrub-key").write_bytes(b"made before")
    assert run() is None
    assert run.asked == []
    assert (run.folder / "scrub-key/image").read_bytes() == b"made before"


def test_what_another_run_left_is_no_obstacle(run):
    (run.folder / "scrubbing").mkdir()
    (run.folder / "scrubbing/scrub-other").write_bytes(b"")
    assert run() == "the new image"


def test_the_stage_is_there_where_it_is_asked_for(tmp_path):
    assert scrub.STAGE.wanted(Options(scrub=Scrub()))
    assert not scrub.STAGE.wanted(Options())
    own = tmp_path / "own.toml"
    own.write_text('off = ["logs"]\n')
    job: Any = SimpleNamespace(options=Options(scrub=Scrub(rules=own)))
    given = scrub.STAGE.given(job)
    assert "logs" not in {rule.name for rule in given.rules}
