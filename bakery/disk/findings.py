"""What a check of an image comes to: findings, each with an id that stays."""

from typing import Literal, Self

import msgspec

from bakery.host.problem import Problem

Severity = Literal["refuse", "warn"]


class Finding(Problem, frozen=True, kw_only=True):
    """One thing that speaks against an image; its place is the image as a whole.

    `id` is a word of docs/check.md; `cve` lists the public holes this finding stands against.
    """

    id: str
    severity: Severity
    cve: tuple[str, ...] = ()

    @classmethod
    def refuse(cls, finding_id: str, message: str, *cve: str, hint: str = "") -> Self:
        """A finding for which the image is not taken."""
        return cls((), message, hint, id=finding_id, severity="refuse", cve=cve)

    @classmethod
    def warn(cls, finding_id: str, message: str, *cve: str, hint: str = "") -> Self:
        """A finding worth knowing, with which the image is taken."""
        return cls((), message, hint, id=finding_id, severity="warn", cve=cve)

    def document(self) -> dict[str, object]:
        """The finding for a program."""
        return {
            "id": self.id,
            "severity": self.severity,
            "message": self.message,
            "cve": self.cve,
            "hint": self.hint,
        }


class CheckReport(msgspec.Struct, frozen=True):
    """An image's format by content, its size as a disk in bytes (0: not known), the findings."""

    format: str
    virtual_size_bytes: int
    findings: tuple[Finding, ...]

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """The findings for which the image is not taken."""
        return tuple(f for f in self.findings if f.severity == "refuse")

    @property
    def is_safe(self) -> bool:
        """Whether the image may be handed on."""
        return not self.refusals
