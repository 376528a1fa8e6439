"""Console transcripts in documentation: how they are written, run, and compared.

A fenced block that opens with three backticks and `console` holds commands, each on a line that
begins with `$ `, and under each what it prints (standard output and standard error, as on a
terminal). In the output `…` stands for anything within a line, and a line of `…` alone for any
number of lines. A comment on the line above the block says when it is run:

    <!-- needs: atomic.qcow2 -->    only with a sample image of that name in the folder (slow)
    <!-- needs: atomic.qcow2, a cloud -->    the same, and with a project in a real Glance
    <!-- not run: REASON -->        never

The blocks of a page are run in order, in one folder.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OPENING = "```console"
CLOSING = "```"
PROMPT = "$ "
ANYTHING = "…"
NEEDS = "<!-- needs: "
CLOUD = ", a cloud"
NOT_RUN = "<!-- not run: "


@dataclass(frozen=True)
class Example:
    """A command and what it prints, at a line of a page.

    `needs` names the image it works on; with `cloud` it speaks to OpenStack.
    """

    where: str
    command: str
    expected: tuple[str, ...]
    needs: str = ""
    cloud: bool = False


def examples(page: Path) -> list[Example]:
    """The commands of a page that are to be run, in order."""
    found: list[Example] = []
    lines = page.read_text().splitlines()
    for number, line in enumerate(lines):
        if line == OPENING:
            comment = lines[number - 1] if number else ""
            if not comment.startswith(NOT_RUN):
                found += _block(page.name, lines, number + 1, _needs(comment))
    return found


def _needs(comment: str) -> tuple[str, bool]:
    """The image that a comment asks for, and whether it asks for a cloud."""
    if not comment.startswith(NEEDS):
        return "", False
    words = comment.removeprefix(NEEDS).removesuffix(" -->")
    return words.removesuffix(CLOUD), words.endswith(CLOUD)


def _block(page: str, lines: list[str], start: int, needs: tuple[str, bool]) -> Iterator[Example]:
    end = lines.index(CLOSING, start)
    starts = [n for n in range(start, end) if lines[n].startswith(PROMPT)]
    assert starts[:1] == [start], f"{page}:{start}: a console block begins with a command"
    for first, last in zip(starts, [*starts[1:], end], strict=True):
        command = lines[first].removeprefix(PROMPT)
        yield Example(f"{page}:{first + 1}", command, tuple(lines[first + 1 : last]), *needs)


def matches(expected: tuple[str, ...], printed: str) -> bool:
    """Whether what was printed is what was expected."""
    return re.fullmatch(_pattern(expected), _lines(printed)) is not None


def _pattern(expected: tuple[str, ...]) -> str:
    return "".join(
        r"(?:.*\n)*" if line.strip() == ANYTHING else _line_pattern(line) + r"\n"
        for line in expected
    )


def _line_pattern(line: str) -> str:
    return ".*".join(re.escape(part) for part in line.rstrip().split(ANYTHING))


def _lines(text: str) -> str:
    return "".join(line.rstrip() + "\n" for line in text.splitlines())
