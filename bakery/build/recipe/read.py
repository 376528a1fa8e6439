"""A recipe's file read and checked: what comes out can be built as it stands.

Every fault is a UsageError of one line: `lab.toml:7: kernel_arg: no such key; did you mean …`.
"""

import re
import stat
import tomllib
from pathlib import Path

import msgspec

from bakery.build import spec
from bakery.build.recipe.doubts import doubts, public_key
from bakery.build.recipe.fault import Fault, Place
from bakery.build.recipe.lines import lines
from bakery.build.recipe.request import Asked
from bakery.build.recipe.schema import Document, File, Scrub
from bakery.build.recipe.shape import misfits
from bakery.host.errors import UsageError
from bakery.image.engines.base import Addition

LIMIT_BYTES = 256 << 10

_TOMLLIB_PLACE = re.compile(r" \((?:at line (\d+), column \d+|at end of document)\)$")


def read(path: Path, *, allow_outside: bool = False) -> Asked:
    """The recipe at `path`. UsageError names file, line and key of the first fault.

    What it names lies in its own folder, unless `allow_outside`.
    """
    try:
        text = _text(_content(path))
        places = lines(text)
        document = _document(_parsed(text), places, path.parent, allow_outside=allow_outside)
    except Fault as fault:
        raise fault.error(path) from None
    return _recipe(path, document)


def _content(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a FIFO would be waited for
            raise UsageError(f"{path} is not a recipe: not a regular file")
        with path.open("rb") as file:
            content = file.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > LIMIT_BYTES:
        raise UsageError(f"{path} is not a recipe: larger than {LIMIT_BYTES} bytes")
    return content


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        wrong = content[error.start]
        raise Fault(line, (), f"not UTF-8: byte 0x{wrong:02x}") from error


def _parsed(text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _TOMLLIB_PLACE.search(str(error))
        reason = str(error)[: found.start()] if found else str(error)
        line = found.group(1) if found else None
        last = text.rstrip("\n").count("\n") + 1
        raise Fault(int(line) if line else last, (), f"not TOML: {reason}") from error


def _document(
    parsed: dict[str, object], places: dict[Place, int], folder: Path, *, allow_outside: bool
) -> Document:
    faults = [
        Fault(_line(places, place), place, reason) for place, reason in misfits(parsed, Document)
    ]
    if not faults:
        document = msgspec.convert(parsed, Document)
        faults = [
            Fault(_line(places, place), place, error.message, error.hint)
            for place, error in doubts(document, folder, allow_outside=allow_outside)
        ]
    if faults:
        # A key that is missing is often one that is misspelt further down.
        raise min(faults, key=lambda fault: (fault.place not in places, fault.line))
    return document


def _line(places: dict[Place, int], place: Place) -> int:
    """The line of a place; of one that is missing, that of the table it is missing from."""
    while place not in places:
        place = place[:-1]
    return places[place]


def _recipe(path: Path, document: Document) -> Asked:
    folder = path.parent
    options = spec.Options(
        layout=document.layout,
        engine=document.engine,
        deployment=document.deployment,
        name=document.name,
        karg_append=document.kernel_args.append,
        karg_delete=document.kernel_args.delete,
        without=document.without,
        sha256=document.base_sha256,
        compress=document.compress or "",
        sbom=tuple(sorted(set(document.sbom))),
        source_sha256=document.source.sha256,
        scrub=_scrub(document.scrub, folder) if document.scrub else None,
        files=tuple(_addition(file, folder) for file in document.files),
    )
    output = folder / (document.output or path.stem)
    return Asked(folder / document.source.image, output, options, document.publish)


def _scrub(scrub: Scrub, folder: Path) -> spec.Scrub:
    kept = None
    if scrub.recovery and scrub.public_key:
        kept = spec.Recovery(folder / scrub.recovery, public_key(folder, scrub.public_key))
    return spec.Scrub(
        rules=folder / scrub.rules if scrub.rules else None,
        recovery=kept,
        leave_unsearched=scrub.leave_unsearched,
    )


def _addition(file: File, folder: Path) -> Addition:
    source = folder / file.source
    return Addition(source, file.path, int(file.mode, 8), file.owner, file.group)
