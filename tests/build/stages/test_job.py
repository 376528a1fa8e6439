"""A job: the image it works on, what runs beside it, and what it remembers."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from bakery.build.spec import Options
from bakery.build.stages.job import SOURCE, Job
from bakery.host.report import silent
from bakery.host.workdir import WorkDir
from bakery.image.opened import Means
from bakery.image.source import read_image
from tests import tiny
from tests.build.test_once import Counted
from tests.build.test_spec import inspected


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "a").mkdir()
    return [tiny.make(folder, name="one"), tiny.make(folder / "a", name="two", boot_type="8e")]


@pytest.fixture
def job(tmp_path, images):
    seen = Counted()
    made: Any = Job(
        read_image(images[0], silent()),
        Options(),
        "direct",
        WorkDir(tmp_path / "out"),
        silent(),
        seen.means,
    )
    made.seen = seen
    with made.work.locked():
        yield made
        made.close()


class Work:
    def __init__(self, log, name):
        self.log, self.name = log, name

    def start(self):
        self.log.append(f"start {self.name}")

    def close(self):
        self.log.append(f"close {self.name}")


def test_what_runs_beside_is_begun_given_up_and_closed_with_the_job(job):
    log: list[str] = []
    job.begin("base", Work(log, "a"))
    assert job.beside("base").name == "a"
    assert job.beside("pack") is None
    job.withdraw("pack")
    job.withdraw("base")
    assert job.beside("base") is None
    job.begin("base", Work(log, "b"))
    job.begin("pack", Work(log, "c"))
    job.close()
    assert log == [
        *("start a", "close a", "start b", "start c"),
        *("close c", "close b"),  # what follows another ends first
    ]


def test_all_is_closed_though_one_does_not_end_well(job):
    log: list[str] = []

    class Broken(Work):
        def close(self):
            super().close()
            if log.count("close b") == 1:
                raise ValueError

    job.begin("a", Work(log, "a"))
    job.begin("b", Broken(log, "b"))
    with pytest.raises(ValueError):
        job.close()
    assert log[2:] == ["close b", "close a"]


def test_it_is_settled_once_the_image_is_inspected(job, tmp_path):
    assert not job.is_settled
    job.results["boot"] = tmp_path
    assert not job.is_settled
    (tmp_path / "inspection.json").write_bytes(msgspec.json.encode(inspected()))
    job.results["inspect"] = tmp_path
    assert job.is_settled
    assert job.inspection == inspected()
    assert (job.spec.layout, job.spec.name) == ("pv", "one")
    assert job.spec is job.spec


def test_sessions_lie_in_scratch_and_end_with_the_job(job):
    engine = job.opened.session()
    assert list(job.work.scratch.iterdir()) == [job.work.scratch / "sessions-0"]
    job.close()
    with pytest.raises(Exception, match="the session on the image is over"):
        engine.read_file(engine.survey().volumes[0], "/etc/fstab")


def test_from_another_image_all_goes_on(job, images):
    first, before = job.opened, job.keys[SOURCE]
    session = first.session()
    job.go_on_from(images[1], None, job.work, "scrub.json")
    assert (job.image.path, job.source.path) == (images[1], images[0])
    assert job.keys[SOURCE] == job.image.digest != before
    assert (job.work.path / "scrub.json").exists()
    assert list(job.seen.checks.values()) == [1]
    with pytest.raises(Exception, match="the session on the image is over"):
        session.list_directory(first.survey.volumes[0], "/")
    again = Job(job.source, Options(), "direct", job.work, silent(), job.seen.means)
    again.go_on_from(images[1], None, job.work, "scrub.json")
    assert again.image.remembered
    assert list(job.seen.checks.values()) == [1]


def test_an_image_that_is_open_already_is_neither_checked_nor_opened_again(job, images, tmp_path):
    moved = tmp_path / "moved.qcow2"
    moved.write_bytes(images[1].read_bytes())
    made = job.open(moved)
    assert job.image.path == images[0]
    session = made.session()
    moved.rename(tmp_path / "kept.qcow2")
    job.go_on_from(tmp_path / "kept.qcow2", made, job.work, "scrub.json")
    assert job.opened is made
    assert job.image.path == tmp_path / "kept.qcow2"
    assert list(job.seen.checks.values()) == [1]
    assert made.session() is session
    assert (job.work.path / "scrub.json").exists()
    other = Job(job.source, Options(), "direct", job.work, silent(), Means())
    other.go_on_from(Path(tmp_path / "kept.qcow2"), None, job.work, "scrub.json")
    assert other.image.remembered
