"""A recipe's file read and checked: what comes out can be built as it stands.

Every fault is a UsageError of one line: `lab.toml:7: kernel_arg: no such key; did you mean …`.
"""

import re
import stat
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from bakery import choice
from bakery.cloud import pieces
from bakery.cloud.target import Target
from bakery.errors import BakeryError, UsageError
from bakery.manifest import valid_name
from bakery.recipe.asked import Asked
from bakery.recipe.fault import Fault, Place
from bakery.recipe.lines import lines
from bakery.recipe.schema import Document, Scrub
from bakery.recipe.shape import misfits
from bakery.recovery import keys
from bakery.scrub import rules
from bakery.system import kargs
from bakery.system.shown import shown

LIMIT_BYTES = 256 << 10

_TOMLLIB_PLACE = re.compile(r" \((?:at line (\d+), column \d+|at end of document)\)$")
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


def read(path: Path) -> Asked:
    """The recipe at `path`. UsageError names file, line and key of the first fault."""
    try:
        text = _text(_content(path))
        places = lines(text)
        document = _document(_parsed(text), places, path.parent)
    except Fault as fault:
        raise fault.error(path) from None
    return _recipe(path, document)


def _content(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a FIFO would be waited for
            raise UsageError(f"{path} is no recipe: it is not a regular file")
        with path.open("rb") as file:
            content = file.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > LIMIT_BYTES:
        raise UsageError(f"{path} is no recipe: larger than {LIMIT_BYTES} bytes")
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


def _document(parsed: dict[str, object], places: dict[Place, int], folder: Path) -> Document:
    faults = [
        Fault(_line(places, place), place, reason) for place, reason in misfits(parsed, Document)
    ]
    if not faults:
        document = msgspec.convert(parsed, Document)
        faults = [
            Fault(_line(places, place), place, error.message, error.hint)
            for place, error in _doubts(document, folder)
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


def _doubts(document: Document, folder: Path) -> Iterator[tuple[Place, BakeryError]]:
    """What fits the schema and still cannot be meant."""
    yield from _when_refused(("source", "image"), _check_path, document.source.image)
    if document.output is not None:
        yield from _when_refused(("output",), _check_path, document.output)
    yield from _when_refused(("source", "sha256"), _check_sha256, document.source.sha256)
    yield from _when_refused(("name",), _check_name, document.name)
    if document.scrub is not None:
        yield from _doubts_about_scrub(document.scrub, folder)
    for number, arg in enumerate(document.kernel_args.append):
        yield from _when_refused(("kernel_args", "append", number), kargs.append, (), arg)
    for number, arg in enumerate(document.kernel_args.delete):
        yield from _when_refused(("kernel_args", "delete", number), kargs.validate, (arg,))
    for number, target in enumerate(document.publish):
        yield from _doubts_about(target, document, ("publish", number))


def _doubts_about_scrub(scrub: Scrub, folder: Path) -> Iterator[tuple[Place, BakeryError]]:
    if scrub.rules is not None:
        yield from _when_refused(("scrub", "rules"), _check_rules, folder, scrub.rules)
    if scrub.recovery is not None:
        yield from _when_refused(("scrub", "recovery"), _check_path, scrub.recovery)
        if scrub.public_key is None:
            yield ("scrub", "recovery"), UsageError("goes with public_key, which is missing")
    if scrub.public_key is not None:
        yield from _when_refused(("scrub", "public_key"), _check_key, folder, scrub.public_key)
        if scrub.recovery is None:
            yield ("scrub", "public_key"), UsageError("goes with recovery, which is missing")


def _doubts_about(
    target: Target, document: Document, place: Place
) -> Iterator[tuple[Place, BakeryError]]:
    if target.name:
        yield from _when_refused((*place, "name"), pieces.check_name, target.name)
    for key, value in target.properties.items():
        yield from _when_refused((*place, "properties", key), pieces.check_properties, {key: value})
    yield from _when_refused((*place, "store"), target.rbd)
    yield from _when_refused(place, target.check, document.layout)


def _when_refused(
    place: Place, check: Callable[..., object], *args: object
) -> Iterator[tuple[Place, BakeryError]]:
    try:
        check(*args)
    except BakeryError as error:
        yield place, error


def _check_path(path: str) -> None:
    if not path or not path.isprintable():
        raise UsageError(f"{shown(path)} is no path")


def _check_rules(folder: Path, path: str) -> None:
    _check_path(path)
    rules.load(folder / path)


def _check_key(folder: Path, key: str) -> None:
    _check_path(key)
    keys.public_key(_public_key(folder, key))


def _public_key(folder: Path, key: str) -> Path:
    """A file's path, or the key as it is spelled."""
    file = folder / key
    return Path(key) if keys.is_spelled(key) and not file.exists() else file


def _check_sha256(text: str) -> None:
    if text and not _SHA256.fullmatch(text):
        raise UsageError(f"{shown(text)} is no sha256: 64 digits of 0-9 and a-f")


def _check_name(name: str | None) -> None:
    if name is not None and not valid_name(name):
        raise UsageError(
            f"{shown(name)} is no name for files", "letters, digits, '.', '_', '+' and '-' make one"
        )


def _recipe(path: Path, document: Document) -> Asked:
    folder = path.parent
    options = choice.Options(
        layout=document.layout,
        engine=document.engine,
        deployment=document.deployment,
        name=document.name,
        karg_append=document.kernel_args.append,
        karg_delete=document.kernel_args.delete,
        sha256=document.base_sha256,
        compress=document.compress or "",
        sbom=tuple(sorted(set(document.sbom))),
        source_sha256=document.source.sha256,
        scrub=_scrub(document.scrub, folder) if document.scrub else None,
    )
    output = folder / (document.output or path.stem)
    return Asked(folder / document.source.image, output, options, document.publish)


def _scrub(scrub: Scrub, folder: Path) -> choice.Scrub:
    return choice.Scrub(
        rules=folder / scrub.rules if scrub.rules else None,
        recovery=folder / scrub.recovery if scrub.recovery else None,
        public_key=_public_key(folder, scrub.public_key) if scrub.public_key else None,
    )
