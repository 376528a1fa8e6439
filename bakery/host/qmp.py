"""A talk with a running QEMU program over its monitor (QMP, qemu-qmp-ref(7)).

One JSON object a line. QEMU greets, takes `qmp_capabilities`, then answers commands in order;
events may come in between. Commands can be sent before its greeting has come.
"""

import contextlib
import json
import socket
import time
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from bakery.host.errors import BakeryError

READ_BYTES = 64 << 10
LINE_LIMIT_BYTES = 8 << 20
ANSWER_SECONDS = 60.0
EVENT_LIMIT = 256


class QemuRefused(BakeryError):
    """QEMU answered `command` with an error; `reason` holds its own words."""

    def __init__(self, command: str, reason: str) -> None:
        super().__init__(f"qemu refused {command}: {reason}")
        self.command, self.reason = command, reason


class _Refusal(msgspec.Struct, frozen=True):
    desc: str = ""


class _Message(msgspec.Struct, frozen=True, rename={"answer": "return"}):
    """What QEMU says: an answer, or a refusal, or an event."""

    answer: Any = UNSET
    error: _Refusal | None = None
    event: str = ""
    data: dict[str, Any] = {}


class _Job(msgspec.Struct, frozen=True):
    id: str
    error: str = ""


class Monitor:
    """One monitor, on a connected socket. Commands may be sent ahead of their answers.

    Who waits takes answers by `receive` and events by `wait_for`; who does not, looks for `events`
    now and then.
    """

    def __init__(self, link: socket.socket, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._link = link
        self._answer_seconds = answer_seconds
        self._buffer = bytearray()
        self._sent: list[str] = []
        self._answers: list[tuple[str, _Message]] = []
        self._events: list[_Message] = []
        self._refusals: list[QemuRefused] = []
        self.send("qmp_capabilities")

    def send(self, command: str, arguments: Mapping[str, object] | None = None) -> None:
        """Send a command; its answer is taken later, by `receive`."""
        message = {"execute": command, "arguments": dict(arguments or {})}
        try:
            self._link.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise BakeryError(f"qemu ended before it took {command}") from error
        self._sent.append(command)

    def receive(self) -> list[Any]:
        """Wait for the answers to all that was sent; what each command returned.

        Raises QemuRefused for the first command that failed, once all are answered.
        """
        while self._sent:
            self._wait()
        answers, self._answers = self._answers, []
        for command, answer in answers:
            if answer.error:
                raise QemuRefused(command, answer.error.desc)
        return [answer.answer for _, answer in answers]

    def call(self, command: str, arguments: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401
        """Send a command and wait; what it returned."""
        self.send(command, arguments)
        return self.receive()[-1]

    def run_job(self, job: str, command: str, arguments: Mapping[str, object]) -> None:
        """Run a command that starts a job, to the job's end; QemuRefused where it fails."""
        self.call(command, {"job-id": job, **arguments})
        self.wait_for("JOB_STATUS_CHANGE", {"id": job, "status": "concluded"})
        self.send("query-jobs")
        self.send("job-dismiss", {"id": job})
        answer, _ = self.receive()
        try:
            jobs = msgspec.convert(answer, list[_Job])
        except msgspec.ValidationError as error:
            raise BakeryError(f"qemu tells of its jobs what makes no sense: {error}") from None
        for entry in jobs:
            if entry.id == job and entry.error:
                raise QemuRefused(command, entry.error)

    def wait_for(self, event: str, data: Mapping[str, object]) -> None:
        """Wait for an event that says `data`, or find it among those that came before."""
        while True:
            for told in self._events:
                if told.event == event and told.data | dict(data) == told.data:
                    self._events.remove(told)
                    return
            self._wait()

    def events(self) -> list[str]:
        """The names of the events that have come since the last call; answers are dropped.

        Refusals among them are kept for `refusals`.

        Waits for nothing. A QEMU that is gone, or stuck, has none: its process tells the rest.
        """
        self._link.settimeout(0)
        with contextlib.suppress(OSError):
            while len(self._buffer) <= LINE_LIMIT_BYTES and (piece := self._link.recv(READ_BYTES)):
                self._buffer += piece
        while b"\n" in self._buffer:
            self._take_line()
        names = [event.event for event in self._events]
        self._events.clear()
        for command, answer in self._answers:
            if answer.error:
                del self._refusals[:-EVENT_LIMIT]
                self._refusals.append(QemuRefused(command, answer.error.desc))
        self._answers.clear()
        return names

    def refusals(self) -> list[QemuRefused]:
        """The commands that failed, of those whose answers `events` has dropped since then."""
        refused, self._refusals = self._refusals, []
        return refused

    def _wait(self) -> None:
        """Take the next line; BakeryError where none comes in time."""
        deadline = time.monotonic() + self._answer_seconds
        while b"\n" not in self._buffer:
            self._link.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                piece = self._link.recv(READ_BYTES)
            except TimeoutError as error:
                waited = f"{self._answer_seconds:g} s"
                raise BakeryError(f"qemu did not answer within {waited}") from error
            except OSError:
                piece = b""
            if not piece or len(self._buffer) > LINE_LIMIT_BYTES:
                raise BakeryError("qemu ended unexpectedly, or did not stop talking")
            self._buffer += piece
        self._take_line()

    def _take_line(self) -> None:
        """Put the first line that has come where it belongs: an answer, or an event.

        A QEMU whose monitor is its standard output prints a word for people there, too.
        """
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            message = msgspec.json.decode(line, type=_Message)
        except (msgspec.DecodeError, RecursionError):
            return
        if self._sent and (message.error or message.answer is not UNSET):
            self._answers.append((self._sent.pop(0), message))
        elif message.event:
            del self._events[:-EVENT_LIMIT]
            self._events.append(message)
