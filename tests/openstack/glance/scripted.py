"""Answers of an image service that are told beforehand: those that a sound one does not give."""

import copy
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from bakery.openstack.glance.images import Images

ID = "7d1f3a52-0b0a-4c61-8d8e-3e8f5c1f2b10"
PATH = f"/images/{ID}"
SHOWN = {"id": ID, "name": "n", "status": "active", "visibility": "private", "min_disk": 1}


class Answer:
    """A status and its content; what is an exception in the content is raised there."""

    def __init__(self, status: int, *content: object) -> None:
        self.status_code = status
        self.content = content
        self.given = 0
        self.closed = False

    def iter_content(self, _size: int) -> Iterator[bytes]:
        for one in self.content:
            if isinstance(one, Exception):
                raise one
            self.given += 1
            yield one if isinstance(one, bytes) else json.dumps(one).encode()

    def close(self) -> None:
        self.closed = True


class Adapter:
    """Gives these answers in turn, the last one for ever; `asked` are method, path and the rest."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    @property
    def lines(self) -> list[str]:
        return [f"{method} {path}" for method, path, _ in self.asked]

    def request(self, path: str, method: str, **more: Any) -> Answer:
        self.asked.append((method, path, copy.copy(more)))
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(found, Exception):
            raise found
        return found


def answering(*answers: Answer | Exception, project: str = "ours", timeout: object = None) -> Any:
    """bakery's way to these answers, and the adapter that gives them."""
    adapter = Adapter(*answers)
    session = SimpleNamespace(timeout=timeout, get_project_id=lambda: project)
    connection: Any = SimpleNamespace(session=session, image=adapter)
    return Images(connection), adapter


def shown(**fields: object) -> Answer:
    """An image."""
    return Answer(200, SHOWN | fields)


def listing(*entries: object, **more: object) -> Answer:
    """A page of images."""
    return Answer(200, {"images": list(entries), **more})


def refusal(status: int) -> Answer:
    """An answer that is no success."""
    return Answer(status, b"no")
