"""A Glance in this process, over HTTP: as much of the Image API v2 as bakery asks for.

The tests that use it run against a real Glance as well, so the two cannot drift apart.
"""

import contextlib
import hashlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from keystoneauth1 import adapter, noauth, session

from bakery.openstack.glance.images import Images

PROJECT = "ours"
PIECE_BYTES = 64 << 10
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
SLOWEST_SECONDS = 30
Answer = tuple[int, Any]


class Refused(Exception):
    """An answer that is no success."""


@dataclass
class Record:
    """An image: its fields as Glance shows them, and its bytes."""

    fields: dict[str, Any]
    content: bytes = b""


@dataclass
class Glance:
    """The images by id, the ids ever given, and the requests that came."""

    records: dict[str, Record] = field(default_factory=dict)
    given: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    ticks: int = 0

    def now(self) -> str:
        self.ticks += 1
        return (EPOCH + timedelta(seconds=self.ticks)).isoformat()

    def record(self, image_id: str) -> Record:
        if image_id not in self.records:
            raise Refused(404, f"no image {image_id}")
        return self.records[image_id]

    def create(self, wanted: dict[str, Any]) -> Answer:
        if wanted["id"] in self.given:
            raise Refused(409, "the id is taken")
        self.given.add(wanted["id"])
        now = self.now()
        told = {"status": "queued", "size": None, "owner": PROJECT, "os_hidden": False}
        self.records[wanted["id"]] = Record(wanted | told | {"created_at": now, "updated_at": now})
        return 201, self.records[wanted["id"]].fields

    def listed(self, query: dict[str, str]) -> Answer:
        limit, marker = int(query.pop("limit", 25)), query.pop("marker", "")
        wanted = {"os_hidden": "false"} | query
        if ":" in wanted.get("name", "") or "," in wanted.get("name", ""):
            raise Refused(400, "an operator that is not known")
        found = [
            record.fields
            for record in reversed(self.records.values())
            if all(text(record.fields.get(key)) == value for key, value in wanted.items())
        ]
        ids = [one["id"] for one in found]
        first = ids.index(marker) + 1 if marker else 0
        page = found[first : first + limit]
        answer: dict[str, Any] = {"images": page}
        if len(page) == limit:
            more = query | {"limit": str(limit), "marker": page[-1]["id"]}
            answer["next"] = f"/v2/images?{urlencode(more)}"
        return 200, answer

    def change(self, image_id: str, changes: list[dict[str, Any]]) -> Answer:
        fields = dict(self.record(image_id).fields)
        for one in changes:
            key = one["path"][1:].replace("~1", "/").replace("~0", "~")
            if key == "locations/-":
                raise Refused(403, "locations are not shown")
            if one["op"] != "add" and key not in fields:
                raise Refused(409, f"no {key}")
            if one["op"] == "remove":
                del fields[key]
            else:
                fields[key] = one["value"]
        self.records[image_id].fields = fields | {"updated_at": self.now()}
        return 200, self.records[image_id].fields

    def delete(self, image_id: str) -> Answer:
        self.record(image_id)
        del self.records[image_id]
        return 204, None

    def begin(self, image_id: str) -> None:
        """Take an image's bytes from now on; one at a time does."""
        fields = self.record(image_id).fields
        if fields["status"] != "queued":
            raise Refused(409, f"the image is {fields['status']}")
        fields.update(status="saving", updated_at=self.now())

    def end(self, image_id: str, content: bytes | None) -> Answer:
        """All bytes came, or (None) not all of them."""
        if image_id not in self.records:
            raise Refused(410, "the image was deleted meanwhile")
        record = self.records[image_id]
        if content is None:
            record.fields.update(status="queued")
            raise Refused(400, "the body was cut")
        record.content = content
        record.fields.update(
            status="active",
            size=len(content),
            os_hash_algo="sha512",
            os_hash_value=hashlib.sha512(content).hexdigest(),
            updated_at=self.now(),
        )
        return 204, None


def text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection; the service is the server's `glance`."""

    protocol_version = "HTTP/1.1"
    timeout = SLOWEST_SECONDS
    disable_nagle_algorithm = True  # an answer is two pieces; the second is not to wait

    def handle_one(self) -> None:
        self.glance.requests.append(f"{self.command} {self.path}")
        try:
            status, answer = self.answered()
        except Refused as refusal:
            status, answer = refusal.args[0], {"message": refusal.args[1]}
            self.close_connection = True
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        if self.close_connection:  # said, or the next request may go into what is closed already
            self.send_header("Connection", "close")
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if status != 204:
            self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one  # noqa: N815

    @property
    def glance(self) -> Glance:
        return self.server.glance  # type: ignore[attr-defined,no-any-return]

    def answered(self) -> Answer:
        url = urlsplit(self.path)
        rest = url.path.removeprefix("/v2/images").strip("/")
        image_id, _, part = map(unquote, rest.partition("/"))
        if part == "file" and self.command == "PUT":
            return self.taken(image_id)
        asked: Any = json.loads(self.body()) if self.command in ("POST", "PATCH") else None
        with self.glance.lock:
            if not image_id:
                query = dict(parse_qsl(url.query, keep_blank_values=True))
                listing = self.command == "GET"
                return self.glance.listed(query) if listing else self.glance.create(asked)
            record = self.glance.record(image_id)
            if part == "locations":
                raise Refused(404, "no such call")
            if part == "file":
                return self.given(record)
            if self.command == "GET":
                return 200, record.fields
            if self.command == "PATCH":
                return self.glance.change(image_id, asked)
            return self.glance.delete(image_id)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def taken(self, image_id: str) -> Answer:
        with self.glance.lock:
            self.glance.begin(image_id)
        left, content = int(self.headers["Content-Length"]), bytearray()
        while left and (piece := self.rfile.read1(min(left, PIECE_BYTES))):
            content += piece
            left -= len(piece)
        with self.glance.lock:
            return self.glance.end(image_id, None if left else bytes(content))

    def given(self, record: Record) -> Answer:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked is None:
            return 200, record.content
        if int(asked[1]) >= len(record.content):
            raise Refused(416, "behind the end")
        return 206, record.content[int(asked[1]) :]

    def log_message(self, *_words: Any) -> None:
        """Say nothing."""


class Authority(noauth.NoAuth):
    """Lets everybody in, into one project."""

    def get_project_id(self, *_args: Any, **_more: Any) -> str:
        return PROJECT


@contextlib.contextmanager
def running() -> Iterator[tuple[Images, Glance]]:
    """bakery's way to a fresh service, and the service itself."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        glance = Glance()
        server.glance = glance  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        known = session.Session(auth=Authority(), timeout=SLOWEST_SECONDS)
        endpoint = f"http://127.0.0.1:{server.server_port}/v2"
        image = adapter.Adapter(known, endpoint_override=endpoint)
        connection: Any = SimpleNamespace(session=known, image=image)
        try:
            yield Images(connection), glance
        finally:
            server.shutdown()
            thread.join()
