"""`bakery doctor`: what this machine can do, and how to get what it lacks."""

from typing import TYPE_CHECKING

import click

from bakery.cli.options import Output, output

if TYPE_CHECKING:
    from bakery.doctor import Examination, Finding

MARKS = {"good": ("ok", "green"), "poor": ("--", "yellow"), "missing": ("NO", "red")}
NAME_WIDTH = 20


@click.command("doctor", short_help="Show what this machine can do and what is missing.")
@output
def command(out: Output) -> int:
    """Report what this machine can do: engines, KVM (by trying it), programs, free space.

    Exit code 0 if at least one engine can build here.
    """
    from bakery import doctor

    found = doctor.look()
    _print(out, found)
    out.document(found)
    return 0 if found.can_build else 1


def _print(out: Output, found: "Examination") -> None:
    group = ""
    for finding in found.findings:
        if finding.group != group:
            group = finding.group
            out.print("")
            out.styled((group, "bold"))
        _row(out, finding)
    out.print("")
    if found.install:
        out.print(f"to install what is missing: {found.install}")
    if found.can_build:
        out.print("bakery can build here")
    else:
        missing = [f"{f.name}: {f.detail}" for f in found.findings if f.group == "engines"]
        out.print("bakery cannot build here: " + "; ".join(missing))


def _row(out: Output, finding: "Finding") -> None:
    name = f"{finding.name:<{NAME_WIDTH}}"
    out.styled(("  ", ""), MARKS[finding.level], (f"  {name} {finding.detail}", ""))
    if finding.remedy:
        out.print(" " * (NAME_WIDTH + 7) + finding.remedy)
