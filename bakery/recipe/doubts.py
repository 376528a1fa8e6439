"""What fits a recipe's schema and still cannot be meant: names, paths, files that are not there."""

import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from bakery.cloud import pieces
from bakery.cloud.target import Target
from bakery.errors import BakeryError, UsageError
from bakery.manifest import valid_name
from bakery.recipe.fault import Place
from bakery.recipe.schema import Document, File, Scrub
from bakery.recovery import keys
from bakery.recovery.members import ID_LIMIT, NAME_LIMIT_BYTES
from bakery.scrub import rules
from bakery.system import kargs
from bakery.system.shown import shown

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MODE = re.compile(r"[0-7]{3,4}", re.ASCII)


def doubts(document: Document, folder: Path) -> Iterator[tuple[Place, BakeryError]]:
    """What fits the schema and still cannot be meant."""
    yield from _when_refused(("source", "image"), _check_path, document.source.image)
    if document.output is not None:
        yield from _when_refused(("output",), _check_path, document.output)
    yield from _when_refused(("source", "sha256"), _check_sha256, document.source.sha256)
    yield from _when_refused(("name",), _check_name, document.name)
    if document.scrub is not None:
        yield from _doubts_about_scrub(document.scrub, folder)
    yield from _doubts_about_files(document.files, folder)
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


def _doubts_about_files(
    files: tuple[File, ...], folder: Path
) -> Iterator[tuple[Place, BakeryError]]:
    for number, file in enumerate(files):
        place = ("files", number)
        yield from _when_refused((*place, "source"), _check_source, folder, file.source)
        others = [other.path for other in files[:number]]
        yield from _when_refused((*place, "path"), _check_inside, file.path, others)
        yield from _when_refused((*place, "mode"), _check_mode, file.mode)
        yield from _when_refused((*place, "owner"), _check_id, file.owner)
        yield from _when_refused((*place, "group"), _check_id, file.group)


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
    keys.public_key(public_key(folder, key))


def public_key(folder: Path, key: str) -> Path:
    """A file's path, or the key as it is spelled."""
    file = folder / key
    return Path(key) if keys.is_spelled(key) and not file.exists() else file


def _check_source(folder: Path, path: str) -> None:
    _check_path(path)
    file = folder / path
    try:
        if not stat.S_ISREG(file.stat().st_mode):  # a FIFO would be waited for
            raise UsageError(f"{file} is not a regular file")
        file.open("rb").close()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error


def _check_inside(path: str, others: list[str]) -> None:
    _check_path(path)
    root, *names = path.split("/")
    if root or not names:
        raise UsageError(f"{shown(path)} is not absolute")
    if any(name in ("", ".", "..") for name in names):
        raise UsageError(f"{shown(path)} holds an empty name, or . or ..")
    if any(len(os.fsencode(name)) > NAME_LIMIT_BYTES for name in names):
        raise UsageError(f"{shown(path)} holds a name of more than {NAME_LIMIT_BYTES} bytes")
    if path in others:
        raise UsageError(f"{shown(path)} is given twice")


def _check_mode(mode: str) -> None:
    if not _MODE.fullmatch(mode):
        raise UsageError(f"{shown(mode)} is no mode: octal digits, as in '0644'")


def _check_id(number: int) -> None:
    if number > ID_LIMIT:
        raise UsageError(f"{number} is more than {ID_LIMIT}, the last that Linux has")


def _check_sha256(text: str) -> None:
    if text and not _SHA256.fullmatch(text):
        raise UsageError(f"{shown(text)} is no sha256: 64 digits of 0-9 and a-f")


def _check_name(name: str | None) -> None:
    if name is not None and not valid_name(name):
        raise UsageError(
            f"{shown(name)} is no name for files", "letters, digits, '.', '_', '+' and '-' make one"
        )
