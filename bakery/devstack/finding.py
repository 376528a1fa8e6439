"""What is wrong with a local.conf, where, and what to do."""

from typing import Literal, Self

from bakery.host.problem import Problem

Level = Literal["error", "warning"]


class Finding(Problem, frozen=True, kw_only=True):
    """`error`: it will not work; `warning`: it may not. Its place is the file, once that is known.

    `rule` is a short fixed name, for programs; `line` counts from 1, 0 is the whole file.
    """

    level: Level
    rule: str
    line: int

    @classmethod
    def error(cls, rule: str, line: int, message: str, hint: str = "") -> Self:
        """Something that will not work."""
        return cls((), message, hint, level="error", rule=rule, line=line)

    @classmethod
    def warning(cls, rule: str, line: int, message: str, hint: str = "") -> Self:
        """Something that may not work."""
        return cls((), message, hint, level="warning", rule=rule, line=line)

    def document(self) -> dict[str, object]:
        """The finding for a program."""
        return {
            "level": self.level,
            "rule": self.rule,
            "line": self.line,
            "says": self.message,
            "remedy": self.hint,
            "file": "".join(self.place),
        }
