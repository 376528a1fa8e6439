"""`bakery doctor`: what this machine can do, and how to get what it lacks."""

from typing import TYPE_CHECKING

import click

from bakery.cli.options import Output, output

if TYPE_CHECKING:
    from bakery.doctor import Examination, Finding

MARKS = {"good": ("ok", "green"), "poor": ("--", "yellow"), "missing": ("NO", "red")}
NAME_WIDTH = 20


@click.command("doctor", short_help="What this machine can do, and what is missing.")
@output
def command(out: Output) -> int:
    """Tell what this machine can do: engines, KVM (by trying), programs, space.

    Exit code 0 means that at least one engine can build here.
    """
    from bakery import doctor

    found = doctor.look()
    for line in _lines(found):
        out.print(line)
    out.document(found)
    return 0 if found.can_build else 1


def _lines(found: "Examination") -> list[str]:
    lines: list[str] = []
    group = ""
    for finding in found.findings:
        if finding.group != group:
            group = finding.group
            lines += ["", click.style(group, bold=True)]
        lines += _rows(finding)
    lines.append("")
    if found.install:
        lines.append(f"to install what is missing: {found.install}")
    if found.can_build:
        return [*lines, "bakery can build here"]
    missing = [f"{f.name}: {f.detail}" for f in found.findings if f.group == "engines"]
    return [*lines, "bakery cannot build here: " + "; ".join(missing)]


def _rows(finding: "Finding") -> list[str]:
    mark, colour = MARKS[finding.level]
    rows = [f"  {click.style(mark, fg=colour)}  {finding.name:<{NAME_WIDTH}} {finding.detail}"]
    if finding.remedy:
        rows.append(" " * (NAME_WIDTH + 7) + finding.remedy)
    return rows
