"""`test` and `[`: grub-core/commands/test.c."""

from collections.abc import Callable, Sequence
from typing import Protocol

from bakery.host.errors import BakeryError
from bakery.system.grub.numbers import signed, unsigned

DEPTH_LIMIT = 100


class Files(Protocol):
    """What a condition asks of files; the texts are GRUB's paths, a device in front or not."""

    def is_file(self, path: str) -> bool:
        """Whether a file that is no folder stands there."""

    def is_directory(self, path: str) -> bool:
        """Whether a folder stands there."""

    def size(self, path: str) -> int | None:
        """How many bytes a file holds; None where it cannot be opened."""


_TEXTS: dict[str, Callable[[str, str], bool]] = {
    "=": lambda one, other: one == other,
    "==": lambda one, other: one == other,
    "!=": lambda one, other: one != other,
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}
_NUMBERS: dict[str, Callable[[int, int], bool]] = {
    "-eq": lambda one, other: one == other,
    "-ge": lambda one, other: one >= other,
    "-gt": lambda one, other: one > other,
    "-le": lambda one, other: one <= other,
    "-lt": lambda one, other: one < other,
    "-ne": lambda one, other: one != other,
}
_SINGLE = ("-d", "-e", "-f", "-s", "-n", "-z")


def holds(args: Sequence[str], files: Files) -> bool:
    """Whether the condition holds; a closing `]` is left out of account.

    BakeryError for a comparison of two files' ages, and where it nests too deep.
    """
    if args and args[-1] == "]":
        args = args[:-1]
    return _Condition(args, files).run(0)


class _Condition:
    def __init__(self, args: Sequence[str], files: Files) -> None:
        self.args = args
        self.files = files
        self.at = 0

    def run(self, depth: int) -> bool:
        """From here to the end, or behind the bracket that closes."""
        if depth > DEPTH_LIMIT:
            raise BakeryError(f"a condition in GRUB's script nests deeper than {DEPTH_LIMIT}")
        any_before, all_here, inverted = False, True, False
        while self.at < len(self.args):
            word = self.args[self.at]
            value = self._three() if self.at + 2 < len(self.args) else None
            if value is None and self.at + 1 < len(self.args):
                value = self._two()
            if value is None:
                self.at += 1
                if word == ")":
                    break
                if word == "(":
                    value = self.run(depth + 1)
                elif word == "!":
                    inverted = not inverted
                    continue
                elif word == "-a":
                    continue
                elif word == "-o":
                    any_before, all_here = any_before or all_here, True
                    continue
                else:
                    value = bool(word)
            all_here = all_here and value is not inverted
            inverted = False
        return any_before or all_here

    def _three(self) -> bool | None:
        one, operator, other = self.args[self.at : self.at + 3]
        if operator in _TEXTS:
            value = _TEXTS[operator](one, other)
        elif operator in _NUMBERS:
            value = _NUMBERS[operator](signed(one), signed(other))
        elif operator in ("-pgt", "-plt"):
            start = _behind_common_prefix(one, other)
            first, second = unsigned(one[start:]), unsigned(other[start:])
            value = first > second if operator == "-pgt" else first < second
        elif operator[:3] in ("-nt", "-ot"):
            raise BakeryError(
                f"GRUB's script compares the ages of {one[:80]} and {other[:80]}, "
                "which change when an image is built"
            )
        else:
            return None
        self.at += 3
        return value

    def _two(self) -> bool | None:
        operator, text = self.args[self.at : self.at + 2]
        if operator not in _SINGLE:
            return None
        self.at += 2
        match operator:
            case "-d":
                return self.files.is_directory(text)
            case "-e":
                return self.files.is_file(text) or self.files.is_directory(text)
            case "-f":
                return self.files.is_file(text)
            case "-s":
                return bool(self.files.size(text))
            case "-n":
                return bool(text)
        return not text


def _behind_common_prefix(one: str, other: str) -> int:
    """Where the number begins in which the two differ."""
    at = 0
    while at < min(len(one), len(other)) and one[at] == other[at]:
        at += 1
    at -= 1
    while at > 0 and one[at] in "0123456789":
        at -= 1
    return at + 1
