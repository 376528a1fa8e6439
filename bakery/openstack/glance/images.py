"""The image service, as bakery uses it. Nothing else in the package talks to Glance.

Image API v2 (https://docs.openstack.org/api-ref/image/v2/), asked through openstacksdk's adapter:
it knows endpoint, region, token and retries. Nothing a server answers is taken without a bound.
"""

import contextlib
import json
import re
from collections.abc import Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import msgspec

from bakery.openstack.connection import Answer, CloudError, connect, explained, json_of, plain
from bakery.openstack.glance import records
from bakery.openstack.glance.records import Image, Location

if TYPE_CHECKING:
    import requests
    from openstack.connection import Connection

ANSWER_LIMIT_BYTES = 32 << 20
PAGE = 500
PAGES_LIMIT = 200
UPDATE_TURNS = 4
BLOCK_BYTES = 1 << 20
# Seconds to connect, and seconds without a byte. A store may take long to bring a big image down
# before it answers; while a body is sent, the first bound is that of one block (urllib3).
TIMEOUT_SECONDS = (30, 120)
SEND_TIMEOUT_SECONDS = (300, 1800)
PATCH_TYPE = "application/openstack-images-v2.1-json-patch"


class Taken(CloudError):
    """An image of this id exists, or existed: Glance gives an id once."""


class Stream:
    """The bytes of an image as they come; `offset` is where they begin in it."""

    def __init__(self, answer: "requests.Response", offset: int, what: str) -> None:
        self.offset = offset
        self._answer = answer
        self._what = what

    def __iter__(self) -> Generator[bytes]:
        try:
            yield from self._answer.iter_content(BLOCK_BYTES)
        except Exception as error:
            raise explained(error, self._what) from error
        finally:
            self._answer.close()


class Images:
    """Images of one project on one cloud. Every method raises CloudError for what goes wrong."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        try:
            self._adapter = connection.image
            self.project = str(connection.session.get_project_id() or "")
        except Exception as error:
            raise explained(error, "cannot reach the image service") from error

    @classmethod
    def of_cloud(cls, cloud: str | None) -> "Images":
        """Log in to `cloud`, None being what the environment names."""
        return cls(connect(cloud))

    def published(self) -> list[Image]:
        """Every image that carries bakery's role, hidden ones too, of all owners we can see."""
        found: dict[str, Image] = {}
        for role in records.ROLES:
            for hidden in ("false", "true"):
                listed = self._list({records.ROLE: role, "os_hidden": hidden})
                found.update((image.id, image) for image in listed)
        return sorted(found.values(), key=lambda image: (image.created_at, image.id))

    def all(self) -> list[Image]:
        """Every image that we can see, hidden ones too."""
        return [
            image for hidden in ("false", "true") for image in self._list({"os_hidden": hidden})
        ]

    def named(self, name: str) -> list[Image]:
        """The images of this name that are not hidden, whoever published them."""
        # Glance takes a colon for the end of an operator, and a comma for the end of a value.
        plain_name = re.fullmatch(r"[\w .+@/-]+", name) is not None
        listed = self._list({"name": name} if plain_name else {})
        return [image for image in listed if image.name == name]

    def with_property(self, key: str, value: str) -> list[Image]:
        """This project's images, not hidden, whose property `key` is `value`."""
        wanted = {key: value} | ({"owner": self.project} if self.project else {})
        return self._list(wanted)

    def get(self, image_id: str) -> Image | None:
        """One image, hidden or not; None where there is none that we may see."""
        answer = self._ask("GET", _path(image_id), f"looking at image {image_id}", missing=True)
        return None if answer is None else records.image(_object(answer))

    def create(
        self,
        image_id: str,
        name: str,
        disk_format: str,
        container_format: str,
        visibility: str,
        properties: Mapping[str, str],
        min_disk: int = 0,
    ) -> Image:
        """A new record, `queued` until bytes are sent; `min_disk` in GiB. Raises Taken."""
        body: dict[str, object] = {
            **properties,
            "id": image_id,
            "name": name,
            "disk_format": disk_format,
            "container_format": container_format,
            "visibility": visibility,
            "min_disk": min_disk,
        }
        what = f"creating the image {name}"
        try:
            answer = self._ask("POST", "/images", what, json=body)
        except CloudError as error:
            if error.status == 409:
                raise Taken(error.message, error.hint, error.status) from error
            raise
        return records.image(_object(answer))

    def send(self, image_id: str, body: Iterable[bytes | memoryview], size_bytes: int) -> None:
        """Send the bytes of a queued image, once and in one go; nothing here sends them again.

        `body` gives its pieces as bytes or memoryviews, `size_bytes` in all, and has a `__len__`.
        """
        self._ask(
            "PUT",
            f"{_path(image_id)}/file",
            f"sending image {image_id}",
            data=body,
            headers={
                "Content-Type": "application/octet-stream",
                "X-OpenStack-Image-Size": str(size_bytes),
            },
            timeout=SEND_TIMEOUT_SECONDS,
            connect_retries=0,
            status_code_retries=0,
            redirect=False,
            allow_reauth=False,
        )

    def fetch(self, image_id: str, offset: int = 0) -> Stream:
        """The image's bytes from `offset` on, or from 0 where the server knows no ranges."""
        what = f"fetching image {image_id}"
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        answer = self._request("GET", f"{_path(image_id)}/file", what, headers=headers)
        if answer.status_code == 416 and offset:
            answer.close()
            return self.fetch(image_id)
        self._refused(answer, what)
        begins = offset if answer.status_code == 206 else 0
        return Stream(answer, begins, what)

    def head(self, image_id: str, size_bytes: int) -> bytes:
        """The first bytes of an image, so many where it has them; the rest is not waited for."""
        found = b""
        with contextlib.closing(iter(self.fetch(image_id))) as pieces:
            for piece in pieces:
                found += piece
                if len(found) >= size_bytes:
                    break
        return found[:size_bytes]

    def update(
        self,
        image: Image,
        *,
        name: str | None = None,
        visibility: str | None = None,
        hidden: bool | None = None,
        min_disk: int | None = None,
        properties: Mapping[str, str] | None = None,
        remove: Iterable[str] = (),
    ) -> Image:
        """Change what differs from `image`, by one request, or none; the image as it then is.

        Where another publisher changed it meanwhile, it is looked at again.
        """
        fields = {
            "name": name, "visibility": visibility, "os_hidden": hidden, "min_disk": min_disk
        }  # fmt: skip
        wanted = {key: value for key, value in fields.items() if value is not None}
        gone = tuple(remove)
        for turn in range(UPDATE_TURNS):
            changes = _changes(image, wanted, properties or {}, gone)
            if not changes:
                break
            try:
                return self._patch(image, changes)
            except CloudError as error:
                now = self.get(image.id) if error.status == 409 else None
                if now is None or turn == UPDATE_TURNS - 1:
                    raise
                image = now
        return image

    def delete(self, image_id: str) -> None:
        """Delete an image; one that is not there is deleted already."""
        self._ask("DELETE", _path(image_id), f"deleting image {image_id}", missing=True)

    def locations(self, image_id: str) -> tuple[Location, ...]:
        """Where the image's bytes lie, as far as the cloud tells us; nothing where it does not."""
        image = self.get(image_id)
        if image is None or image.locations:
            return image.locations if image else ()
        path = f"{_path(image_id)}/locations"
        try:
            answer = self._ask("GET", path, f"locations of image {image_id}", missing=True)
        except CloudError as error:
            if error.status in (403, 405):
                return ()
            raise
        try:
            return msgspec.convert(answer or (), tuple[Location, ...])
        except msgspec.ValidationError:
            return ()

    def add_location(
        self,
        image_id: str,
        url: str,
        metadata: Mapping[str, object] | None = None,
        validation: Mapping[str, str] | None = None,
    ) -> None:
        """Tell Glance where the bytes of a queued image lie; `validation` says what they hash to.

        First as clouds with `show_multiple_locations` take it, then by the newer call, which is
        for services (role `service`) and ends in the background.
        """
        what = f"registering the location of image {image_id}"
        value: dict[str, object] = {"url": url, "metadata": dict(metadata or {})}
        value |= {"validation_data": dict(validation)} if validation else {}
        change: dict[str, object] = {"op": "add", "path": "/locations/-", "value": value}
        try:
            self._ask("PATCH", _path(image_id), what, **_patched([change]))
            return
        except CloudError as error:
            if error.status != 403:
                raise
            first = error
        body: dict[str, object] = {"url": url}
        body |= {"validation_data": dict(validation)} if validation else {}
        try:
            self._ask("POST", f"{_path(image_id)}/locations", what, json=body)
        except CloudError as error:
            raise (first if error.status in (404, 405) else error) from error

    def _patch(self, image: Image, changes: list[dict[str, object]]) -> Image:
        what = f"updating the image {image.name} ({image.id})"
        return records.image(
            _object(self._ask("PATCH", _path(image.id), what, **_patched(changes)))
        )

    def _list(self, wanted: Mapping[str, str]) -> list[Image]:
        """All pages of a listing, oldest last, within bounds."""
        what, found = "listing images", list[Image]()
        query: Mapping[str, str] = {**wanted, "limit": str(PAGE)}
        path = "/images"
        for _ in range(PAGES_LIMIT):
            page = _object(self._ask("GET", path, what, params=query))
            entries = page.get("images")
            found += map(records.image, entries if isinstance(entries, list) else [])
            path, query = _next(page.get("next")), {}
            if not path:
                return found
        raise CloudError(f"{what}: the cloud's list never ends")

    def _ask(self, method: str, path: str, what: str, *, missing: bool = False, **more: Any) -> Any:  # noqa: ANN401
        """One request and the JSON of its answer; None where `missing` allows a 404."""
        answer = self._request(method, path, what, **more)
        if missing and answer.status_code in (404, 410):
            answer.close()
            return None
        self._refused(answer, what)
        return json_of(_read(answer, what), what, "image service")

    def _request(self, method: str, path: str, what: str, **more: Any) -> "requests.Response":  # noqa: ANN401
        more.setdefault("timeout", self._connection.session.timeout or TIMEOUT_SECONDS)
        try:
            return self._adapter.request(path, method, stream=True, raise_exc=False, **more)
        except CloudError:
            raise
        except Exception as error:
            raise explained(error, what) from error

    def _refused(self, answer: "requests.Response", what: str) -> None:
        if answer.status_code < 300:
            return
        text = plain(_read(answer, what).decode("utf-8", "replace"))
        error = Answer(answer.status_code, text)
        raise explained(error, what) from error


def _path(image_id: str) -> str:
    return f"/images/{quote(image_id, safe='')}"


def _changes(
    image: Image, fields: Mapping[str, object], properties: Mapping[str, str], gone: Iterable[str]
) -> list[dict[str, object]]:
    """What makes the image as wanted, as a JSON patch (RFC 6902)."""
    has: dict[str, object] = {
        **image.properties,
        "name": image.name,
        "visibility": image.visibility,
        "os_hidden": image.hidden,
        "min_disk": image.min_disk_gib,
    }
    changes: list[dict[str, object]] = [
        {"op": "replace" if key in has else "add", "path": _pointer(key), "value": value}
        for key, value in (*fields.items(), *properties.items())
        if has.get(key) != value
    ]
    return changes + [
        {"op": "remove", "path": _pointer(key)} for key in gone if key in image.properties
    ]


def _pointer(key: str) -> str:
    """A property's name as a JSON pointer (RFC 6901)."""
    return "/" + key.replace("~", "~0").replace("/", "~1")


def _patched(changes: list[dict[str, object]]) -> dict[str, Any]:
    return {"data": json.dumps(changes), "headers": {"Content-Type": PATCH_TYPE}}


def _next(link: object) -> str:
    """The query of the next page, asked at our own endpoint: no other host is followed."""
    query = urlsplit(link).query if isinstance(link, str) else ""
    return f"/images?{query}" if query else ""


def _read(answer: "requests.Response", what: str) -> bytes:
    """A whole answer, bounded."""
    content = bytearray()
    try:
        for piece in answer.iter_content(65536):
            content += piece
            if len(content) > ANSWER_LIMIT_BYTES:
                raise CloudError(f"{what}: the answer is larger than {ANSWER_LIMIT_BYTES} bytes")
    except CloudError:
        raise
    except Exception as error:
        raise explained(error, what) from error
    finally:
        answer.close()
    return bytes(content)


def _object(answer: object) -> dict[str, object]:
    if not isinstance(answer, dict):
        raise CloudError("the image service gave an answer that bakery does not understand")
    return answer
