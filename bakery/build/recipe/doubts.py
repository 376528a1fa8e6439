"""What fits a recipe's schema and still cannot be meant: names, paths, files that are not there."""

import functools
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from bakery.build.recipe.fault import Place
from bakery.build.recipe.schema import Document, File, Scrub
from bakery.build.scrub import rules
from bakery.host.errors import BakeryError, UsageError
from bakery.host.printable import shown
from bakery.manifest.manifest import valid_name
from bakery.openstack.glance import pieces
from bakery.openstack.glance.target import Target
from bakery.recovery import keys
from bakery.recovery.members import ID_LIMIT, NAME_LIMIT_BYTES
from bakery.system import kargs

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MODE = re.compile(r"[0-7]{3,4}", re.ASCII)


def doubts(
    document: Document, folder: Path, *, allow_outside: bool
) -> Iterator[tuple[Place, BakeryError]]:
    """What fits the schema and still cannot be meant, or leads out of the recipe's `folder`."""
    if not allow_outside:
        yield from _doubts_about_places(document, folder)
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


def _doubts_about_places(document: Document, folder: Path) -> Iterator[tuple[Place, BakeryError]]:
    """A recipe from somebody else takes no file of this machine's, and writes over none."""
    named: list[tuple[Place, str | None]] = [(("output",), document.output)]
    if scrub := document.scrub:
        named += [(("scrub", key), getattr(scrub, key)) for key in ("rules", "recovery")]
        key = scrub.public_key or ""
        if not keys.is_spelled(key) or (folder / key).exists():
            named.append((("scrub", "public_key"), key))
    named += [(("files", n, "source"), file.source) for n, file in enumerate(document.files)]
    for place, path in named:
        if path:
            yield from _when_refused(place, _check_stays, folder, path)
    # An image is large, and may be a link to where images are kept: only an image is read there.
    image = document.source.image
    stays = functools.partial(_check_stays, may_be_link=True)
    yield from _when_refused(("source", "image"), stays, folder, image)


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
        raise UsageError(f"{shown(path)} is not a path")


def _check_stays(folder: Path, path: str, *, may_be_link: bool = False) -> None:
    if not path.isprintable():
        return  # that is no path at all, which is told elsewhere
    place = folder / path
    real = place.parent.resolve() / place.name if may_be_link else place.resolve()
    if not real.is_relative_to(folder.resolve()):
        raise UsageError(
            f"{shown(path)} leads out of the recipe's folder",
            "if you trust the recipe: --allow-outside",
        )


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
        raise UsageError(f"{shown(mode)} is not a mode: octal digits, as in '0644'")


def _check_id(number: int) -> None:
    if number > ID_LIMIT:
        raise UsageError(f"{number} is more than {ID_LIMIT}, the last that Linux has")


def _check_sha256(text: str) -> None:
    if text and not _SHA256.fullmatch(text):
        raise UsageError(f"{shown(text)} is not a sha256: 64 digits of 0-9 and a-f")


def _check_name(name: str | None) -> None:
    if name is not None and not valid_name(name):
        raise UsageError(
            f"{shown(name)} cannot be used in file names",
            "letters, digits, '.', '_', '+' and '-' can",
        )
