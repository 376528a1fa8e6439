"""An image opened: by one session that looks, inspected once, and handed on with what it told.

Whatever is made of an image takes it from here, so no image is surveyed or inspected twice. What
the engine that looks cannot do, another does in a session of its own, and is told what is known.
"""

import contextlib
import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bakery.disk.formats import safety
from bakery.disk.volumes.volumes import Survey
from bakery.host import memory
from bakery.host.report import Report
from bakery.image import inspection
from bakery.image.engines import choose
from bakery.image.engines.base import Engine
from bakery.image.engines.choose import EngineName
from bakery.image.inspection import Inspection
from bakery.image.reader import Reader
from bakery.image.source import Check, Image

# For lists of names and the texts of menus; an image that asks for more asks for the machine.
INSPECTION_BYTES = 2 << 30


class Means(NamedTuple):
    """By what an image is checked, opened and inspected; whoever counts hands in others."""

    check: Check = safety.check_with_table
    open_engine: Callable[[EngineName, Path, str, int, Path, Report], Engine] = choose.open_engine
    inspect: Callable[[Reader], Inspection] = inspection.inspect
    unlocked: bool = False
    """Whether `open_engine` has a key for what is encrypted."""


MEANS = Means()


def with_key(key: bytes | None) -> Means:
    """The usual means, with a key for LUKS where there is one."""
    if key is None:
        return MEANS
    return Means(open_engine=functools.partial(choose.open_engine, key=key), unlocked=True)


class Opened:
    """An image that is safe to open, and its sessions, which are started when first asked for.

    `engine` is the one that looks; the sessions lie in `folder`, which is made for them.
    """

    def __init__(
        self,
        image: Image,
        engine: EngineName,
        folder: Path,
        report: Report,
        means: Means = MEANS,
    ) -> None:
        self.image = image
        self.engine = engine
        self._folder = folder
        self._report = report
        self._means = means
        self._sessions: dict[EngineName, Engine] = {}
        self._reader: Reader | None = None
        self._inspection: Inspection | None = None

    def session(self, name: EngineName | None = None) -> Engine:
        """The open session of an engine, shared by all who ask; without a name, of what looks."""
        name = name or self.engine
        if name not in self._sessions:
            folder = self._folder / name
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            image = self.image
            self._sessions[name] = self._means.open_engine(
                name, image.path, image.format, image.virtual_size_bytes, folder, self._report
            )
        return self._sessions[name]

    @property
    def reader(self) -> Reader:
        """The session that looks, with its survey."""
        if self._reader is None:
            self._reader = Reader(self.session())
        return self._reader

    @property
    def inspection(self) -> Inspection:
        """What the image is; found out when it is first asked for."""
        if self._inspection is None:
            reader = self.reader  # its programs are started, and have bounds of their own
            with memory.bounded(INSPECTION_BYTES, f"what {self.image.path.name} says of itself"):
                self._inspection = self._means.inspect(reader)
        return self._inspection

    @property
    def survey(self) -> Survey:
        """What is on the disk, of the inspection where there was one."""
        return self._inspection.survey if self._inspection else self.reader.survey

    def moved(self, path: Path) -> None:
        """The image has another name now, which bakery gave it; sessions stay."""
        self.image = self.image.moved(path)

    def end(self, name: EngineName) -> None:
        """End a session, so that its overlay is complete. What it told stays."""
        if name == self.engine:
            self._reader = None
        if name in self._sessions:
            self._sessions.pop(name).close()

    def close(self) -> None:
        """End all sessions, whatever state they are in."""
        self.__exit__(None, None, None)

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *exc: object) -> None:
        sessions, self._sessions, self._reader = self._sessions, {}, None
        with contextlib.ExitStack() as stack:
            for engine in sessions.values():
                stack.callback(engine.__exit__, *exc)
