"""A second opinion: what OpenStack's own image inspector says of a file.

oslo.utils' `format_inspector` is what Glance, Nova, Cinder, Ironic and its agent ask before they
touch an image; an image it refuses will not deploy, however harmless. It is shown the first
bytes and the last ones, which is where everything it asks for lies.
"""

import contextlib
import functools
import importlib.util
import logging
import os
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import BinaryIO, Protocol

from bakery.disk.findings import Finding

PACKAGE = "oslo_utils.imageutils"
INSPECTOR = f"{PACKAGE}.format_inspector"
HEAD_BYTES = 512 << 10
VHDX_HEAD_BYTES = 8 << 20
"""A VHDX keeps its size in a region that lies behind its first MiB."""
TAIL_BYTES = 64 << 10
CHUNK_BYTES = 64 << 10
# Its name of a format → the name of QEMU's driver. A raw disk with an MBR or GPT is `gpt` to it.
NAMES = {"raw": "raw", "gpt": "raw", "vhd": "vpc"}


def findings(file: BinaryIO, image_format: str) -> list[Finding]:
    """What the inspector has against a file that is of `image_format` by our own account."""
    format_inspector = _inspector()
    with _without_talk():
        head = VHDX_HEAD_BYTES if image_format == "vhdx" else HEAD_BYTES
        wrapper = format_inspector.InspectWrapper(_Ends(file, head))
        while wrapper.formats is None and wrapper.read(CHUNK_BYTES):
            pass
        wrapper.close()
        matches = wrapper.formats or []
        names = sorted({NAMES.get(match.NAME, match.NAME) for match in matches})
        # A fixed VHD is a raw disk with a footer, which the inspector does not look for.
        if names != [image_format] and (image_format, names) != ("vpc", ["raw"]):
            text = f"OpenStack takes it for {' and '.join(names) or 'nothing'}, not {image_format}"
            return [Finding.refuse("polyglot", text, "CVE-2024-40767")]
        refusals = (format_inspector.SafetyCheckFailed, format_inspector.ImageFormatError)
        return [found for match in matches for found in _refusals(match, refusals)]


@functools.cache
def _inspector() -> ModuleType:
    """The module `format_inspector`, without the rest of its package.

    The package's own start loads what the inspector never uses, for twice the time it needs
    itself, and that while a build waits. Who imports the package later gets all of it.
    """
    if PACKAGE in sys.modules:
        return importlib.import_module(INSPECTOR)
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None:
        raise ModuleNotFoundError(f"{PACKAGE} is not installed")
    sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)
    try:
        return importlib.import_module(INSPECTOR)
    finally:
        del sys.modules[PACKAGE]


class _Inspector(Protocol):
    def safety_check(self) -> None: ...


class _Ends:
    """The head of a file, then its tail, as one stream; it is not the stream's to close."""

    def __init__(self, file: BinaryIO, head_bytes: int) -> None:
        self.file = file
        self.size = file.seek(0, os.SEEK_END)
        self.head = min(head_bytes, self.size)
        file.seek(0)

    def read(self, length: int) -> bytes:
        if self.file.tell() == self.head:
            self.file.seek(max(self.head, self.size - TAIL_BYTES))
        room = self.head - self.file.tell()
        return self.file.read(min(length, room) if room > 0 else length)


def _refusals(match: _Inspector, refusals: tuple[type[Exception], ...]) -> list[Finding]:
    try:
        match.safety_check()
    except refusals as error:
        failures: dict[str, Exception] = getattr(error, "failures", {})
        reasons = [f"{name} ({why})" for name, why in failures.items()] or [str(error)]
        return [Finding.refuse("openstack-refuses", f"OpenStack refuses it: {', '.join(reasons)}")]
    return []


@contextlib.contextmanager
def _without_talk() -> Iterator[None]:
    """Keep the inspector's log lines off standard error: what it finds is told once, by us."""
    logger = logging.getLogger("oslo_utils")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
