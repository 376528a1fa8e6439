"""What a check of an image comes to: findings, each with an id that stays."""

from typing import Literal, Self

import msgspec

Severity = Literal["refuse", "warn"]


class Finding(msgspec.Struct, frozen=True):
    """One thing that speaks against an image.

    `id` is a word of docs/check.md; `cve` lists the public holes this finding stands against.
    """

    id: str
    severity: Severity
    message: str
    cve: tuple[str, ...] = ()
    hint: str = ""

    @classmethod
    def refuse(cls, finding_id: str, message: str, *cve: str, hint: str = "") -> Self:
        """A finding for which the image is not taken."""
        return cls(finding_id, "refuse", message, cve, hint)

    @classmethod
    def warn(cls, finding_id: str, message: str, *cve: str, hint: str = "") -> Self:
        """A finding worth knowing, with which the image is taken."""
        return cls(finding_id, "warn", message, cve, hint)


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
