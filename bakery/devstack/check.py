"""Everything that is wrong with a local.conf, in the order of its lines."""

from pathlib import Path

import msgspec

from bakery.devstack import arguments, nodes, services, structure, subject
from bakery.devstack.finding import Finding
from bakery.devstack.host import Host
from bakery.manifest.manifest import Manifest

RULES = (*structure.RULES, *services.RULES, *nodes.RULES, *arguments.RULES)


def check(
    path: Path, *, release: str, host: Host, build: Manifest | None = None
) -> tuple[str, list[Finding]]:
    """The release it was held against, and what was found.

    Nothing is run; BakeryError where the file cannot be read.
    """
    found = subject.read(path, release, host, build)
    findings = [finding for rule in RULES for finding in rule(found)]
    findings.sort(key=lambda one: (one.line, one.level, one.rule))
    return found.release, [_placed(one, path, found.document.first_lines) for one in findings]


def _placed(finding: Finding, path: Path, first_lines: int) -> Finding:
    """The finding with its file: of a pair, the first lines are the localrc's."""
    file, line = path, finding.line
    if first_lines and line <= first_lines:
        file = path.with_name("localrc")
    elif first_lines:
        file, line = path.with_name("local.conf"), line - first_lines
    return msgspec.structs.replace(finding, place=(str(file),), line=line)
