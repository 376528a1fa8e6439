"""An opened image: its sessions are started when they are asked for, and shared."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bakery.disk.volumes.volumes import Survey, Volume
from bakery.host.errors import BakeryError
from bakery.host.report import silent
from bakery.image.engines import choose
from bakery.image.engines.base import DirectoryEntry, FileMissing
from bakery.image.inspection import Inspection
from bakery.image.opened import MEANS, Means, Opened, with_key
from bakery.image.reader import Reader
from bakery.image.source import Image, read_image
from tests import tiny

VOLUME = Volume("/dev/sda", 0, ())
SURVEY = Survey(0, None, (), (VOLUME,))


class Asked:
    """An engine that counts the questions, and tells how it was ended."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.asked: list[str] = []
        self.ended: list[Any] = []

    def survey(self) -> Survey:
        self.asked.append("survey")
        return SURVEY

    def list_directory(self, volume: Volume, path: str) -> list[DirectoryEntry]:
        self.asked.append(path)
        if path == "/missing":
            raise FileMissing("there is none")
        return [DirectoryEntry("etc", is_directory=True)]

    def close(self) -> None:
        self.ended.append(None)

    def __exit__(self, *exc: object) -> None:
        self.ended.append(exc[0])


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return read_image(tiny.make(tmp_path_factory.mktemp("tiny")), silent())


@pytest.fixture
def engines() -> list[Asked]:
    return []


@pytest.fixture
def opened(image: Image, engines: list[Asked], tmp_path: Path) -> Opened:
    def open_engine(name: str, *rest: Any) -> Any:
        engines.append(Asked(name, rest[3]))
        assert engines[-1].folder.is_dir()
        return engines[-1]

    def inspect(reader: Reader) -> Inspection:
        reader.directory(VOLUME, "/")
        return Inspection(survey=reader.survey)

    open_it: Callable[..., Any] = open_engine
    means = Means(open_engine=open_it, inspect=inspect)
    return Opened(image, "direct", tmp_path / "sessions", silent(), means)


def test_nothing_is_started_before_it_is_asked(opened: Opened, engines: list[Asked]):
    opened.close()
    assert engines == []


def test_all_who_ask_share_one_session_and_one_inspection(opened: Opened, engines: list[Asked]):
    assert opened.inspection is opened.inspection
    assert opened.reader is opened.reader
    assert opened.session() is opened.session("direct")
    assert opened.reader.directory(VOLUME, "/") == opened.reader.directory(VOLUME, "")
    assert [engine.asked for engine in engines] == [["survey", "/"]]


def test_what_was_told_stays_when_the_session_ends(opened: Opened, engines: list[Asked]):
    found = opened.inspection
    opened.end("direct")
    assert opened.inspection is found
    assert opened.survey is SURVEY
    assert [engine.ended for engine in engines] == [[None]]


def test_another_engine_has_a_session_and_a_folder_of_its_own(opened: Opened, engines: list[Asked]):
    opened.session()
    opened.session("guestfs")
    assert [engine.name for engine in engines] == ["direct", "guestfs"]
    assert len({engine.folder for engine in engines}) == 2
    opened.end("guestfs")
    assert [len(engine.ended) for engine in engines] == [0, 1]


def test_sessions_learn_of_the_error_that_ends_them(opened: Opened, engines: list[Asked]):
    with pytest.raises(BakeryError), opened:
        opened.session()
        opened.session("guestfs")
        raise BakeryError("no")
    assert [engine.ended for engine in engines] == [[BakeryError], [BakeryError]]
    opened.close()
    assert [len(engine.ended) for engine in engines] == [1, 1]


def test_what_is_not_there_is_asked_for_once(opened: Opened, engines: list[Asked]):
    reader = opened.reader
    assert reader.directory(VOLUME, "/missing") == reader.directory(VOLUME, "/missing") == ()
    assert not reader.exists(VOLUME, "/missing/file")
    assert reader.exists(VOLUME, "/etc")
    assert engines[0].asked == ["survey", "/missing", "/"]


def test_a_key_for_what_is_encrypted_goes_to_the_engine_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert with_key(None) is MEANS
    made: list[tuple[object, ...]] = []
    monkeypatch.setattr(choose, "GuestfsEngine", lambda *words: made.append(words))
    means = with_key(b"secret")
    means.open_engine("guestfs", tmp_path / "a", "raw", 1, tmp_path, silent())
    assert made[0][-1] == b"secret"
    assert means.unlocked
