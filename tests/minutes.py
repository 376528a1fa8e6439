"""Where the time of a run goes: minutes by folder and by group, and the order of the groups.

pytest-xdist hands a group of tests (`xdist_group`) whole to one process, in the order they are
collected in (`--no-loadscope-reorder`). The long ones come first and what takes moments last, so
that all processes end together.
"""

from collections import defaultdict
from pathlib import PurePath

import pytest

LONGEST_FIRST = (
    "services",
    "lab",
    "bare-metal",
    "scrub",
    "contract",
    "volumes",
    "elements",
    "ironic-lab",
    "samples",
    "real-boots",
    "namespaces",
    "ramdisk",
)
"""The groups that take minutes, in the order of the last quiet run's table."""


class Minutes:
    """Adds up how long the tests of each folder and each group took, in whichever process."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.tests: dict[str, set[str]] = defaultdict(set)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count one phase of a test: what sets it up is part of its time."""
        for place in (folder_of(report.nodeid), group_of(report.nodeid)):
            if place:
                self.seconds[place] += report.duration
                self.tests[place].add(report.nodeid)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table, where anything ran."""
        if self.seconds:
            terminalreporter.section("minutes of all processes together, by folder")
            terminalreporter.write_line("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """The folders, longest first, their sum, and the groups that took half a minute."""
        places = sorted(self.seconds, key=self.seconds.__getitem__, reverse=True)
        folders = [place for place in places if not place.startswith("@")]
        groups = [place for place in places if place.startswith("@") and self.seconds[place] >= 30]
        seconds = sum(self.seconds[folder] for folder in folders)
        number = sum(len(self.tests[folder]) for folder in folders)
        return [
            *map(self._line, folders),
            row(seconds, number, "all"),
            *map(self._line, groups),
        ]

    def _line(self, place: str) -> str:
        return row(self.seconds[place], len(self.tests[place]), place)


def row(seconds: float, tests: int, place: str) -> str:
    """A line of the table."""
    return f"{seconds / 60:7.1f} min {tests:6} tests  {place}"


def folder_of(nodeid: str) -> str:
    """The folder of a test, down to the first below tests/."""
    return "/".join(PurePath(nodeid.partition("::")[0]).parent.parts[:2]) or "."


def group_of(nodeid: str) -> str:
    """`@group` as xdist writes it behind a test's id; empty where the test is in none."""
    _, at, group = nodeid.rpartition("@")
    return "" if group.endswith("]") else at + group * bool(at)


def rank(item: pytest.Item) -> int:
    """Where a test goes in the order of a run: long groups, other slow tests, what is quick."""
    mark = item.get_closest_marker("xdist_group")
    if mark and mark.args[0] in LONGEST_FIRST:
        return LONGEST_FIRST.index(mark.args[0])
    return len(LONGEST_FIRST) + (item.get_closest_marker("slow") is None)
