"""Glance's API v2 spoken by hand, for tests of the services themselves."""

import http.client
import json
import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from tests.services.openstack import Project

TIMEOUT_SECONDS = 120


class Glance:
    """The images of a project, asked at `url`."""

    def __init__(self, project: "Project", url: str) -> None:
        self.url = url
        self.project = project
        self.token = project.token()

    def new(self, name: str = "image", **fields: object) -> str:
        """A queued image's id; AssertionError with the server's words where it is refused."""
        image = {"name": name, "disk_format": "raw", "container_format": "bare"} | fields
        status, answer = self.ask("POST", "/v2/images", json.dumps(image).encode())
        assert status == HTTPStatus.CREATED, answer
        return str(json.loads(answer)["id"])

    def show(self, image_id: str) -> dict[str, Any]:
        """What Glance says of an image."""
        answer: dict[str, Any] = json.loads(self.ask("GET", f"/v2/images/{image_id}")[1])
        return answer

    def send(self, image_id: str, body: bytes | Iterable[bytes]) -> int:
        """Upload; the status. An iterable goes chunked."""
        return self.ask("PUT", f"/v2/images/{image_id}/file", body, "application/octet-stream")[0]

    def send_when_free(self, image_id: str, body: bytes) -> None:
        """Upload to an image that an upload was cut off from: Glance may still be noticing it."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        not_free = (None, HTTPStatus.CONFLICT, HTTPStatus.GONE)
        while (status := self._sent(image_id, body)) in not_free:
            assert time.monotonic() < deadline, self.show(image_id)
        assert status == HTTPStatus.NO_CONTENT, (status, self.show(image_id))

    def _sent(self, image_id: str, body: bytes) -> int | None:
        """The status; None where Glance refused and closed before it had read the body."""
        try:
            return self.send(image_id, body)
        except ConnectionError:
            return None

    def fetch(self, image_id: str) -> bytes:
        """The data."""
        return self.ask("GET", f"/v2/images/{image_id}/file")[1]

    def all(self) -> list[dict[str, Any]]:
        """The project's images of any status, hidden ones too."""
        found: list[dict[str, Any]] = []
        for hidden in ("false", "true"):
            path = f"/v2/images?limit=1000&owner={self.project.id}&os_hidden={hidden}"
            found += json.loads(self.ask("GET", path)[1])["images"]
        return found

    def clear(self) -> None:
        """Delete all that is not protected."""
        for image in self.all():
            self.ask("DELETE", f"/v2/images/{image['id']}")

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        kind: str = "application/json",
    ) -> tuple[int, bytes]:
        """Status and body of an answer; OSError or http.client's errors where there is none."""
        link = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=TIMEOUT_SECONDS)
        try:
            link.request(method, path, body, {"X-Auth-Token": self.token, "Content-Type": kind})
            answer = link.getresponse()
            return answer.status, answer.read()
        finally:
            link.close()
