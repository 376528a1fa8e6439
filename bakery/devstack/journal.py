"""How far a runbook came, kept so that the next run goes on from there.

One JSON file, written whole and renamed before each act and after each step; held by one run at a
time.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from bakery.devstack import install
from bakery.devstack.steps import Step
from bakery.host import folders
from bakery.host.errors import BakeryError

VERSION = 1


class StepRecord(msgspec.Struct, frozen=True):
    """A step's last word: `begun` is written before its act, `done` after it was seen to be so.

    `digest` is that of the step's commands: with others it is another step.
    """

    state: Literal["begun", "done"]
    at: float
    digest: str


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file's content: the entries by step name."""

    steps: dict[str, StepRecord] = {}
    version: int = VERSION


class Journal:
    """The file at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the journal alone; BakeryError where another run has it."""
        lock = self.path.with_name(self.path.name + ".lock")
        try:
            folders.check(self.path)
            descriptor = folders.open_lock(lock)
        except OSError as error:
            raise BakeryError(f"{lock} cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise BakeryError(
                f"another run is using {self.path}",
                "wait for it to finish, or use another --journal",
            ) from None
        finally:
            os.close(descriptor)

    def read(self) -> Record:
        """What was written last; empty where nothing was. BakeryError where it is no journal."""
        try:
            record = msgspec.json.decode(self.path.read_bytes(), type=Record)
        except FileNotFoundError:
            return Record()
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BakeryError(
                f"the journal {self.path} cannot be used: {error}", f"to start over: rm {self.path}"
            ) from error
        if record.version != VERSION:
            raise BakeryError(
                f"the journal {self.path} is version {record.version}; this bakery reads {VERSION}",
                f"to start over: rm {self.path}",
            )
        return record

    def entry(self, step: Step) -> StepRecord | None:
        """The step's entry; None where there is none, or one of other commands."""
        found = self.read().steps.get(step.name)
        return found if found and found.digest == step.digest else None

    def note(self, step: Step, state: Literal["begun", "done"]) -> None:
        """Keep a step's state; it is on the disk when this returns."""
        record = self.read()
        entry = StepRecord(state, time.time(), step.digest)
        made = msgspec.structs.replace(record, steps=record.steps | {step.name: entry})
        content = msgspec.json.format(msgspec.json.encode(made), indent=2).decode() + "\n"
        install.put(self.path, content, replace=True)
