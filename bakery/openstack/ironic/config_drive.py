"""A config drive as Ironic takes it, and how it leaves a node.

Ironic stores it as `instance_info.configdrive`, hands it to whatever is deployed there next, and
masks it in its answers: it cannot be put back, only taken out. Source: Bare Metal API v1, node
provision, `configdrive`; ironic, conductor/deployments.py, _store_configdrive.
"""

import base64
import binascii
import gzip
import io
import zlib
from pathlib import Path

from bakery.host.errors import BakeryError
from bakery.openstack.ironic.changes import Patch, put
from bakery.openstack.ironic.records import NodeThere

# The agent's partition for one (ironic_python_agent, partition_utils.MAX_CONFIG_DRIVE_SIZE_MB).
LIMIT_BYTES = 64 << 20
GZIP = b"\x1f\x8b\x08"  # RFC 1952, 2.3.1
GZIP_IN_BASE64 = base64.b64encode(GZIP)

KEY = "configdrive"
WITHOUT: Patch = [
    put("", "instance_info", KEY),
    {"op": "remove", "path": f"/instance_info/{KEY}"},
]
"""Takes one out, whether one is there or not: a patch that was lost can be sent again."""


def is_on(node: NodeThere) -> bool:
    """Whether a node has one."""
    info = node.fields.get("instance_info")
    return isinstance(info, dict) and KEY in info


def packed(path: Path, limit_bytes: int = LIMIT_BYTES) -> str:
    """The drive in a file, gzipped and in base64.

    The file holds the drive itself, or is gzipped, or that in base64, as Ironic's own client wants
    it; what is packed already goes as it is. BakeryError where it holds no drive, or one of more
    than `limit_bytes`.
    """
    try:
        with path.open("rb") as file:
            # What does not pack is a third more in base64, and has line breaks.
            content = file.read(2 * limit_bytes)
    except OSError as error:
        raise BakeryError(f"the config drive {path} cannot be read: {error.strerror}") from error
    if content.startswith(GZIP_IN_BASE64):
        content = _decoded(path, content)
    if not content.startswith(GZIP):
        _check(path, content, limit_bytes)
        content = gzip.compress(content, mtime=0)
    else:
        _check(path, _unpacked(path, content, limit_bytes), limit_bytes)
    return base64.b64encode(content).decode()


def _check(path: Path, drive: bytes, limit_bytes: int) -> None:
    if not drive:
        raise BakeryError(f"the config drive {path} is empty")
    if len(drive) > limit_bytes:
        raise BakeryError(f"{path} is larger than a config drive may be, {limit_bytes >> 20} MiB")
    if drive.lstrip()[:1] == b"{":
        raise BakeryError(
            f"{path} is JSON, not a config drive",
            "an ISO 9660 image with the label config-2 is one",
        )


def _decoded(path: Path, text: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except binascii.Error as error:
        raise BakeryError(f"the config drive {path} is broken base64: {error}") from error


def _unpacked(path: Path, content: bytes, limit_bytes: int) -> bytes:
    """What is gzipped, and no more of it than shows that it is too large."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            return file.read(limit_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise BakeryError(f"the config drive {path} is broken gzip: {error}") from error
