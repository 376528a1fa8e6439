"""A node's virtual CD drive, as its BMC would have it: what may be put in, and how QEMU is told.

A medium at a URL is read by QEMU itself, in ranges, when the node asks for them, as BMCs do; the
server sees the lab's address. Its certificate is not checked, as BMCs do not by default. Source:
qemu-qmp-ref(7): blockdev-open-tray to blockdev-close-tray, BlockdevOptionsCurlBase.
"""

import contextlib
import http.client
import os
import ssl
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from bakery.host.errors import BakeryError
from bakery.host.printable import shown

DRIVE_ID = "cd"
URL_LIMIT = 2048
SECTOR_BYTES = 2048
LOOK_SECONDS = 5.0
"""How long a server may take to say what it has: the lab's BMCs wait meanwhile."""

Command = tuple[str, Mapping[str, object]]


def checked(place: str) -> str:
    """A URL (http, https) or the path of a file, if a medium can be read there; BakeryError if not.

    A URL is looked at by a HEAD request. Messages leave out what follows the server's name, which
    may be a secret.
    """
    if "://" in place:
        _look(_url(place))
    else:
        _size(_status(Path(place)).st_size, place)
    return place


def insertion(place: str, number: int) -> Iterator[Command]:
    """What has QEMU put a medium in; `number` is another one for each."""
    url = "://" in place
    file: dict[str, object] = {"driver": "file", "filename": place}
    if url:
        scheme = _url(place).scheme
        file = {"driver": scheme, "url": place}
        file |= {"sslverify": False} if scheme == "https" else {}
    node = {"driver": "raw", "node-name": _node(number), "read-only": True, "file": file}
    yield "blockdev-add", node
    yield "blockdev-insert-medium", {"id": DRIVE_ID, "node-name": _node(number)}
    yield "blockdev-close-tray", {"id": DRIVE_ID}


def ejection(number: int) -> Iterator[Command]:
    """What has QEMU take out the medium that was put in by that number, whatever the guest says."""
    yield "blockdev-open-tray", {"id": DRIVE_ID, "force": True}
    yield "blockdev-remove-medium", {"id": DRIVE_ID}
    yield "blockdev-del", {"node-name": _node(number)}


def opening() -> Iterator[Command]:
    """What has QEMU open the empty drive, for a medium to be put in."""
    yield "blockdev-open-tray", {"id": DRIVE_ID, "force": True}


def _node(number: int) -> str:
    return f"medium-{number}"


def _url(place: str) -> SplitResult:
    try:
        found = urlsplit(place)
        known = found.scheme in ("http", "https") and found.hostname and found.port != 0
    except ValueError:
        known = False
    plain = place.isascii() and place.isprintable() and " " not in place
    if not known or not plain or len(place) > URL_LIMIT or found.username is not None:
        raise BakeryError(
            f"{shown(place.partition('://')[0][:80])}://… is not a URL of a medium",
            "such as https://192.168.77.1:8443/node.iso, with no login in it",
        )
    return found


def _look(url: SplitResult) -> None:
    """Ask what is there; BakeryError where a drive could not read it."""
    server = f"{url.scheme}://{url.netloc}/…"
    assert url.hostname is not None
    link: http.client.HTTPConnection
    if url.scheme == "https":
        unchecked = ssl.create_default_context()
        unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
        link = http.client.HTTPSConnection(
            url.hostname, url.port, timeout=LOOK_SECONDS, context=unchecked
        )
    else:
        link = http.client.HTTPConnection(url.hostname, url.port, timeout=LOOK_SECONDS)
    with contextlib.closing(link):
        try:
            link.request("HEAD", url._replace(scheme="", netloc="", fragment="").geturl() or "/")
            answer = link.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise BakeryError(f"the medium at {server} cannot be reached: {error}") from None
    if answer.status != http.client.OK:
        raise BakeryError(f"the medium at {server} is refused: HTTP {answer.status}")
    if answer.headers.get("Accept-Ranges", "").lower() != "bytes":
        raise BakeryError(f"the server of {server} gives no ranges of bytes")
    length = answer.headers.get("Content-Length", "")
    _size(int(length) if length.isascii() and length.isdigit() and len(length) < 19 else 0, server)


def _status(path: Path) -> os.stat_result:
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BakeryError(f"the medium {shown(str(path))} cannot be read: {reason}") from None
    if not path.is_absolute() or not stat.S_ISREG(status.st_mode):
        raise BakeryError(f"{shown(str(path))} is no medium", "the whole path of a file")
    return status


def _size(size: int, place: str) -> None:
    if size <= 0 or size % SECTOR_BYTES:
        raise BakeryError(f"{place} is no medium: it has {size} bytes, not sectors of 2048")
