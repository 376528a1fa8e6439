"""The options of GRUB's commands: grub-core/lib/arg.c."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bakery.system.grub import status
from bakery.system.grub.status import Failed
from bakery.system.grub.variables import Argument


@dataclass(frozen=True, slots=True)
class Option:
    """An option: whether it takes a value, and whether that may be missing."""

    name: str
    letter: str = ""
    takes_value: bool = True
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """What a command was given: each option's values (None: it has none), and the rest."""

    values: Mapping[str, list[Argument | None]]
    rest: tuple[Argument, ...]

    def has(self, name: str) -> bool:
        """Whether the option was given."""
        return name in self.values

    def last(self, name: str) -> str | None:
        """The value it was given last."""
        values = self.values.get(name, [None])
        return values[-1].text if values[-1] is not None else None

    def all(self, name: str) -> tuple[str, ...]:
        """Every value it was given."""
        return tuple(value.text for value in self.values.get(name, []) if value is not None)


def parse(known: Sequence[Option], args: Sequence[Argument], *, dash: bool = False) -> Options:
    """The options among these arguments; Failed where GRUB refuses them.

    With `dash`, what is no known option is an argument like others.
    """
    values: dict[str, list[Argument | None]] = {}
    rest: list[Argument] = []
    at = 0
    while at < len(args):
        arg = args[at]
        at += 1
        if not arg.text.startswith("-") or arg.text == "-":
            rest.append(arg)
        elif arg.text == "--":
            rest += args[at:]
            break
        elif arg.text.startswith("--"):
            at = _long(known, args, at, values, rest, dash=dash)
        else:
            at = _short(known, args, at, values, rest, dash=dash)
    return Options(values, tuple(rest))


def _long(
    known: Sequence[Option],
    args: Sequence[Argument],
    at: int,
    values: dict[str, list[Argument | None]],
    rest: list[Argument],
    *,
    dash: bool,
) -> int:
    """Takes the long option in front of `at`; gives where the next argument is."""
    arg = args[at - 1]
    name, equals, text = arg.text[2:].partition("=")
    option = next((one for one in known if one.name == name), None)
    if option is None:
        _unknown(arg, rest, dash=dash, is_help=name in ("help", "usage"))
        return at
    value = Argument(text, arg.fed_by) if equals else None
    if value is None and option.takes_value and at < len(args) and args[at].text[:1] != "-":
        value = args[at]
        at += 1
    _take(option, value, values)
    return at


def _short(
    known: Sequence[Option],
    args: Sequence[Argument],
    at: int,
    values: dict[str, list[Argument | None]],
    rest: list[Argument],
    *,
    dash: bool,
) -> int:
    """Takes the letters in front of `at`; gives where the next argument is."""
    arg = args[at - 1]
    letters = arg.text[1:]
    options = [next((one for one in known if one.letter == c), None) for c in letters]
    if dash and any(one is None and c not in "hu" for one, c in zip(options, letters, strict=True)):
        rest.append(arg)
        return at
    for option, letter in zip(options[:-1], letters[:-1], strict=True):
        if option is None:
            _unknown(arg, rest, dash=False, is_help=letter in "hu")
        elif option.takes_value and not option.optional:
            raise Failed(status.BAD_ARGUMENT, f"--{option.name} lacks a value")
        else:
            _take(option, None, values)
    last = options[-1]
    if last is None:
        _unknown(arg, rest, dash=False, is_help=letters[-1] in "hu")
        return at
    value = None
    if last.takes_value and at < len(args):
        behind = args[at].text
        if not last.optional or len(behind) < 2 or behind[0] != "-":
            value = args[at]
            at += 1
    _take(last, value, values)
    return at


def _take(option: Option, value: Argument | None, values: dict[str, list[Argument | None]]) -> None:
    if value is None and option.takes_value and not option.optional:
        raise Failed(status.BAD_ARGUMENT, f"--{option.name} lacks a value")
    values.setdefault(option.name, []).append(value)


def _unknown(arg: Argument, rest: list[Argument], *, dash: bool, is_help: bool) -> None:
    """Help is shown, and the command is not run; other unknown options are errors."""
    if is_help:
        raise Failed(status.NONE, "help was asked for")
    if not dash:
        raise Failed(status.BAD_ARGUMENT, f"{arg.text} is no option")
    rest.append(arg)
