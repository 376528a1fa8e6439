"""The meta-sections of a local.conf, read as devstack reads them.

The rules are those of devstack's inc/meta-config (get_meta_section, merge_config_file) and of its
doc/source/configuration.rst: a header is `[[PHASE|FILE]]` at the start of a line, without blanks;
what stands before the first one is never read. Sections of one PHASE and FILE are read as one.
"""

import re
from pathlib import Path

import msgspec

from bakery.host.errors import BakeryError

SIZE_LIMIT_BYTES = 1 << 20
MERGED_PHASES = ("post-config", "extra", "post-extra", "test-config")
PHASES = ("local", *MERGED_PHASES)

_HEADER = re.compile(r"\[\[.+\|.*\]\]")
_INI_SECTION = re.compile(r"\[.+\]")
_LIKE_A_HEADER = re.compile(r"\s*\[\[")


class Line(msgspec.Struct, frozen=True):
    """A line of the file, its number from 1, without its end."""

    number: int
    text: str


class Section(msgspec.Struct, frozen=True):
    """A meta-section: phase and file as devstack takes them, and the lines up to the next."""

    phase: str
    file: str
    header: Line
    lines: tuple[Line, ...]


class Option(msgspec.Struct, frozen=True):
    """A line `NAME = VALUE` of an INI section, as merge_config_file takes it apart."""

    line: int
    section: str
    name: str
    value: str


class Document(msgspec.Struct, frozen=True):
    """A whole local.conf: what stands before the first header, and the sections in order.

    Of a localrc with its local.conf, the lines of the second file are numbered on behind those of
    the first, `first_lines` of them.
    """

    before: tuple[Line, ...]
    sections: tuple[Section, ...]
    first_lines: int = 0

    def of(self, phase: str, file: str) -> list[Section]:
        """The sections of one phase and file, in order."""
        return [one for one in self.sections if (one.phase, one.file) == (phase, file)]

    @property
    def localrc(self) -> tuple[Line, ...]:
        """The lines of the shell fragment."""
        return tuple(line for one in self.of("local", "localrc") for line in one.lines)


def load(path: Path) -> str:
    """A file's text; BakeryError where it cannot be read or is no text of sensible size."""
    try:
        with path.open("rb") as file:
            content = file.read(SIZE_LIMIT_BYTES + 1)
        text = content.decode()
    except OSError as error:
        raise BakeryError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BakeryError(f"{path} is not text: byte {error.start} is not UTF-8") from error
    if len(content) > SIZE_LIMIT_BYTES or "\0" in text:
        raise BakeryError(f"{path} is not a local.conf: over {SIZE_LIMIT_BYTES} bytes, or binary")
    return text


def parse(text: str, first: int = 1) -> Document:
    """Take a local.conf apart, its lines numbered from `first`; nothing in it is refused here."""
    before: list[Line] = []
    found: list[tuple[Line, list[Line]]] = []
    body = before
    for number, content in enumerate(text.split("\n"), first):
        line = Line(number, content)
        if _HEADER.match(content):
            body = []
            found.append((line, body))
        else:
            body.append(line)
    sections = (Section(*_names(header.text), header, tuple(lines)) for header, lines in found)
    return Document(tuple(before), tuple(sections))


def pair(localrc: str, local_conf: str) -> Document:
    """A localrc as the section it stands for, and the sections of the local.conf beside it.

    devstack reads the localrc instead of a [[local|localrc]].
    """
    lines = tuple(Line(number, text) for number, text in enumerate(localrc.split("\n"), 1))
    own = Section("local", "localrc", Line(0, "[[local|localrc]]"), lines)
    other = parse(local_conf, len(lines) + 1)
    kept = tuple(one for one in other.sections if (one.phase, one.file) != ("local", "localrc"))
    return Document(other.before, (own, *kept), len(lines))


def _names(header: str) -> tuple[str, str]:
    """Phase and file: of the header's first word, its brackets gone, the first two fields."""
    word = header.split(maxsplit=1)[0].replace("[", "").replace("]", "")
    phase, _, rest = word.partition("|")
    return phase, rest.partition("|")[0]


def looks_like_header(text: str) -> bool:
    """Whether a line was meant as a header and is none."""
    return bool(_LIKE_A_HEADER.match(text)) and not _HEADER.match(text)


def options(section: Section) -> list[Option]:
    """The options of a merged section; lines that begin with a blank are left out, as there.

    `name` is empty where a line has no `=`; `section` is empty before the first `[name]`.
    """
    found = []
    current = ""
    for line in section.lines:
        text = line.text
        if _INI_SECTION.match(text):
            current = text.split(maxsplit=1)[0].replace("[", "").replace("]", "")
        elif text[:1] not in ("", " ", "\t", "#"):
            name, equals, value = text.partition("=")
            name = name.rstrip(" \t") if equals else ""
            found.append(Option(line.number, current, name, value.strip(" \t")))
    return found
