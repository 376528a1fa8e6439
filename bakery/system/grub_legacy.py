"""GRUB Legacy (0.97): menu.lst, and which of its entries starts by itself.

Source: the manual of GRUB 0.97 ("Configuration", "Commands"); where that is silent, its stage2/
{stage2,cmdline,builtins}.c; `uuid` as Debian patched it in, and `find --set-root` as others did. A
line is a command, blanks or `=`, and what it is given; a backslash joins it with the next.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from bakery.host.errors import BakeryError
from bakery.host.printable import printable
from bakery.system import kargs

NAMES = ("menu.lst", "grub.conf")
FOLDERS = ("/boot/grub", "/grub")
"""Where the menu lies, seen from the filesystem that stage 2 was installed to."""
SAVED_FILE = "default"
"""Beside the menu: its first line is the number of the entry that was saved last."""
SIZE_LIMIT_BYTES = 256 << 10
ENTRY_LIMIT = 512
TEXT_LIMIT = 16 << 10

_COMMAND = re.compile(r"([^ =]+)[ =]*(.*)", re.DOTALL)
_DEVICE = re.compile(r"\(([^()]*)\)(.*)", re.DOTALL)
_DIGITS = re.compile(r"[0-9]{1,9}")
# A kernel's name behind GRUB's own options, and what is for the kernel.
_KERNEL = re.compile(r"\A(?:--[^ ]+ +)*([^ ]*) *(.*)", re.DOTALL)


class Device(msgspec.Struct, frozen=True):
    """A filesystem: GRUB Legacy's name for it (`hd0,0`; partitions count from 0), or how it is
    found; `own` is the one that the menu lies on."""

    kind: Literal["own", "name", "fs-uuid", "file"]
    value: str = ""


class File(msgspec.Struct, frozen=True):
    """An absolute path in a filesystem."""

    device: Device
    path: str


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry.

    `kernel` is None for one that starts no kernel; `reason` then says what it does, as the end of a
    sentence. `options` is the text behind the kernel's name, `line` its line, from 1. `config` is
    another menu that the entry leads to.
    """

    title: str
    kernel: File | None
    initrd: File | None = None
    options: str = ""
    line: int = 0
    config: File | None = None
    reason: str = ""

    @property
    def arguments(self) -> kargs.Args:
        """The kernel's arguments; BakeryError as `kargs.parse` has it."""
        return kargs.parse(self.options)


class Menu(msgspec.Struct, frozen=True, kw_only=True):
    """The entries; `chosen` is the place of the one that starts by itself, None where there is
    none, and `fallback` are those that are tried after it. `waits`: somebody has to press a key
    first."""

    entries: tuple[Entry, ...]
    chosen: int | None
    fallback: tuple[int, ...] = ()
    waits: bool = False


def parse(text: bytes, saved: bytes = b"") -> Menu:
    """The menu in a file; `saved` is the text of SAVED_FILE. BakeryError beyond the limits."""
    if len(text) > SIZE_LIMIT_BYTES:
        raise BakeryError(f"GRUB Legacy's menu is over {SIZE_LIMIT_BYTES} bytes long")
    said: dict[str, str] = {}
    titled: list[tuple[str, list[_Line]]] = []
    for number, command, rest in _lines(text):
        if command == "title":
            titled.append((rest, []))
        elif titled:
            titled[-1][1].append((number, command, rest))
        else:
            said[command] = rest
    # A title without a command is none.
    entries = tuple(_entry(title, lines) for title, lines in titled if lines)
    if len(entries) > ENTRY_LIMIT:
        raise BakeryError(f"GRUB Legacy's menu holds over {ENTRY_LIMIT} entries")
    fallback = tuple(n for n in _numbers(said.get("fallback", "")) if n < len(entries))
    return Menu(
        entries=entries,
        chosen=_chosen(said.get("default", ""), saved, fallback, len(entries)),
        fallback=fallback,
        waits="timeout" not in said,
    )


_Line = tuple[int, str, str]
"""Number, command, and what it is given."""


def _lines(text: bytes) -> Iterator[_Line]:
    """Each line that says something; one that a backslash goes on in bears its first number."""
    start, joined = 0, ""
    for number, raw in enumerate(text.decode("latin-1").split("\n"), 1):
        line = "".join(char for char in raw.replace("\t", " ") if " " <= char <= "~")
        start, goes_on = start or number, line.endswith("\\")
        joined += line[:-1] if goes_on else line
        if goes_on:
            continue
        match = _COMMAND.match(joined.strip(" "))
        if match and not match[1].startswith("#"):
            yield start, match[1], match[2]
        start, joined = 0, ""


def _entry(title: str, lines: Sequence[_Line]) -> Entry:
    """What the commands of an entry come to; of two kernels the later counts, as of two roots."""
    device, kernel, initrd, config = Device("own"), None, None, None
    options, line, others = "", 0, []
    for number, command, rest in lines:
        if command in ("root", "rootnoverify", "uuid", "find"):
            device = _device(command, rest) or device
        elif command == "kernel":
            name, options = _KERNEL.findall(rest)[0]
            kernel, line, initrd = _file(name, device), number, None
        elif command == "initrd":
            initrd = _file(rest.split(" ")[0], device)
        elif command == "configfile":
            config = _file(rest.split(" ")[0], device)
        else:
            others.append(command)
    if len(options) > TEXT_LIMIT:
        raise BakeryError(f"the arguments in GRUB Legacy's menu are over {TEXT_LIMIT} long")
    return Entry(
        title=printable(title),
        kernel=kernel,
        initrd=initrd if kernel else None,
        options=options,
        line=line,
        config=None if kernel else config,
        reason="" if kernel else _reason(others, config),
    )


def _reason(commands: Sequence[str], config: File | None) -> str:
    if config:
        return "it leads to another menu"
    if "chainloader" in commands:
        return "it starts another boot loader"
    return "it starts no kernel"


def _device(command: str, rest: str) -> Device | None:
    """The filesystem that a command makes the root; None where it makes none."""
    if command == "uuid":
        return Device("fs-uuid", rest.strip(" "))
    if command == "find":
        words = rest.split()
        return Device("file", words[-1]) if "--set-root" in words[:-1] else None
    match = _DEVICE.match(rest)
    return Device("name", match[1]) if match else None


def _file(name: str, device: Device) -> File | None:
    """A file that a command names; None where that is a list of blocks, or nothing."""
    match = _DEVICE.match(name)
    if match:
        name, device = match[2], Device("name", match[1])
    names: list[str] = []
    for part in name.split("/"):
        if part == "..":
            del names[-1:]
        elif part not in ("", "."):
            names.append(part)
    return File(device, "/" + "/".join(names)) if name.startswith("/") and names else None


def _chosen(default: str, saved: bytes, fallback: Sequence[int], count: int) -> int | None:
    """The number of the entry that starts: one that is not there gives way to the first fallback,
    or to the first of all."""
    if default.strip(" ") == "saved":
        default = saved.split(b"\n")[0].decode("ascii", "replace")
    number = next(iter(_numbers(default)), 0)
    if number < count:
        return number
    return next(iter(fallback), 0) if count else None


def _numbers(text: str) -> tuple[int, ...]:
    words = text.split()
    return tuple(int(word) for word in words if _DIGITS.fullmatch(word))
