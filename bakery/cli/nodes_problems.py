"""What is wrong with a nodes file, in lines for a person and a document for a program."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bakery.cli.options import Output, say

if TYPE_CHECKING:
    from bakery.openstack.ironic.nodes_file import Fleet

SHOWN = 50


def refused(
    out: Output, file: Path, fleet: "Fleet", end: str, more: Mapping[str, object] = {}
) -> int:
    """Print all that is wrong, each with its line in the file; exit code 1.

    `end` says what was not done for it; `more` goes into the document.
    """
    problems = fleet.problems
    places = [fleet.lines.of(*one.place) for one in problems.found]
    for line, problem in list(zip(places, problems.found, strict=True))[:SHOWN]:
        say(f"{file}:{line}: {problem}" if line else f"{file}: {problem}")
    rest = problems.count - min(SHOWN, len(problems.found))
    if rest:
        say(f"… and {rest} more")
    word = "problem" if problems.count == 1 else "problems"
    error = f"{file}: {problems.count} {word}" + (f", {end}" if end else "")
    say(f"bakery: {error}")
    found = [
        {"node": node, "field": field, "message": one.message, "line": line}
        for line, one in zip(places, problems.found, strict=True)
        for node, field in [one.place]
    ]
    out.document({"error": error, "hint": "", "problems": found, **more})
    return 1
