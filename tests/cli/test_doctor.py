"""`bakery doctor` on the command line: what was found, by group, with the way out below it."""

import pytest

from bakery.doctor import Examination, Finding
from tests.cli.inside import ask, document

FOUND = (
    Finding("engines", "direct", "good", "reads"),
    Finding("engines", "guestfs", "missing", "no guestfish", "install it"),
    Finding("space", "here", "poor", "1 GiB"),
)


@pytest.fixture
def found(monkeypatch):
    """What the doctor finds: as above, or what a test puts there."""
    answer = {"now": Examination(can_build=True, findings=FOUND, install="")}
    monkeypatch.setattr("bakery.doctor.look", lambda: answer["now"])
    return answer


def test_each_group_stands_below_its_name_and_a_remedy_below_its_finding(found):
    done = ask("doctor", color=False)
    assert done.return_value == 0
    assert done.stdout.splitlines() == [
        "",
        "engines",
        "  ok  direct               reads",
        "  NO  guestfs              no guestfish",
        "                           install it",
        "",
        "space",
        "  --  here                 1 GiB",
        "",
        "bakery can build here",
    ]


def test_colours_are_for_a_terminal(found):
    done = ask("doctor", color=True)
    assert "\x1b[1mengines\x1b[0m" in done.stdout
    for mark, colour in (("ok", 32), ("NO", 31), ("--", 33)):
        assert f"\x1b[{colour}m{mark}\x1b[0m" in done.stdout
    assert "\x1b[0m  direct" in done.stdout  # what is no mark has no colour of its own


def test_where_nothing_can_be_built_each_engine_says_why(found):
    lacking = (Finding("engines", "direct", "missing", "no qemu"), *FOUND[1:])
    found["now"] = Examination(can_build=False, findings=lacking, install="sudo install x")
    done = ask("doctor")
    assert done.return_value == 1
    assert done.stdout.splitlines()[-2:] == [
        "to install what is missing: sudo install x",
        "bakery cannot build here: direct: no qemu; guestfs: no guestfish",
    ]
    assert document("doctor")["can_build"] is False
