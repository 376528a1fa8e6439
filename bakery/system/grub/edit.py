"""Kernel arguments changed where they are written in GRUB's scripts; every other byte stays."""

from collections.abc import Iterator

from bakery.host.errors import BakeryError
from bakery.host.printable import shown
from bakery.system import kargs
from bakery.system.grub.expand import unescaped
from bakery.system.grub.loading import LINUX, handed_on
from bakery.system.grub.menu import File, Place
from bakery.system.grub.parse import Command, lines, walk
from bakery.system.grub.source import Source, decoded, of_file
from bakery.system.grub.words import Kind, Word, quote

_HERE = File("", "grub.cfg")


def change_args(text: bytes, place: Place, change: kargs.Change) -> bytes:
    """`text`, a script, with the arguments at `place` (of a `Linux`) put through `change`.

    `change` sees an argument that holds a variable (`$vt_handoff`) as it is written, and it stays
    so. Every other byte stays. BakeryError where no `linux` line has its arguments there.
    """
    source = of_file(text, place.file)
    found = [command for command in _linux_lines(source) if _span(source, command) == place]
    if not found:
        raise BakeryError(f"{place.file} has no 'linux' line at byte {place.start}")
    return _changed(text, source, found[:1], change)


def change_value(text: bytes, place: Place, change: kargs.Change) -> bytes:
    """`text`, a script, with the value at `place` (of a `Variable`) put through `change`.

    BakeryError where the value is made up of more than plain text.
    """
    raw = text[place.start : place.end].decode("latin-1")
    source = of_file(f"set x={raw}\n".encode("latin-1"), place.file)
    commands = [c for line in lines(source) for c in walk(line.nodes)]
    words = commands[0].words if len(commands) == 1 else ()
    if len(words) != 2 or words[1].raw != f"x={raw}" or words[1].has_variable:
        raise BakeryError(
            f"{place.file} computes the kernel arguments in {shown(raw)}, so they cannot be "
            "changed there"
        )
    old = kargs.parse(_value(words[1]).removeprefix("x="))
    new = kargs.validate(change(old))
    if new == old:
        return text
    value = '"' + kargs.join(new).replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return text[: place.start] + f'{value}"'.encode("latin-1") + text[place.end :]


def spell(arg: str) -> str:
    """A kernel argument as a word of a `linux` line.

    GRUB puts an argument with blanks in double quotes by itself, and a backslash in front of
    every quote and backslash that comes with one; so quotes must not come with it. BakeryError
    for an argument that GRUB cannot hand on as it is (grub-core/lib/cmdline.c).
    """
    plain = arg.replace('"', "")
    if "\\" in plain or "'" in plain:
        raise BakeryError(
            f"the kernel argument {shown(arg)} cannot go through GRUB, "
            "which puts a backslash before every quote and backslash"
        )
    return quote(plain)


def _linux_lines(source: Source) -> Iterator[Command]:
    for line in lines(source):
        for command in walk(line.nodes):
            if command.words[0].raw in LINUX and len(command.words) > 1:
                yield command


def _span(source: Source, command: Command) -> Place:
    return source.place(command.words[1].end, command.words[-1].end)


def _changed(text: bytes, source: Source, commands: list[Command], change: kargs.Change) -> bytes:
    pieces: list[bytes] = []
    done = 0
    for command in commands:
        words = command.words[2:]
        written = {_as_seen(word): word.raw for word in words}
        args = tuple(map(_as_seen, words))
        new = kargs.validate(change(args))
        if new != args:
            place = _span(source, command)
            line = "".join(f" {written.get(arg) or spell(arg)}" for arg in new)
            pieces += [text[done : place.start], line.encode("latin-1")]
            done = place.end
    return b"".join([*pieces, text[done:]])


def _as_seen(word: Word) -> str:
    """A word of a `linux` line as `change` sees it."""
    return word.raw if word.has_variable else handed_on(decoded(_value(word)))


def _value(word: Word) -> str:
    """A word's text where no variable says anything."""
    return "".join(
        unescaped(piece.text) if piece.kind is Kind.BARE else piece.text
        for piece in word.pieces
        if piece.kind in (Kind.BARE, Kind.QUOTED, Kind.TRANSLATED)
    )
