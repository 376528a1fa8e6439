import pytest

from bakery.vm.prove.shell import Command
from bakery.vm.prove.verdict import Verdict


@pytest.mark.parametrize(
    ("reached", "command", "proved", "title"),
    [
        ("login", None, True, "login reached"),
        ("login", Command("true", 0), True, "login reached"),
        (
            *("login", Command("false", 7), False),
            "login reached, but the command failed with exit code 7",
        ),
        (
            *("login", Command("true", problem="no shell answered"), False),
            "login reached, but the command did not finish: no shell answered",
        ),
        ("panic", None, False, "kernel panic"),
        ("panic", Command("true", 0), False, "kernel panic"),
    ],
)
def test_a_build_is_proved_by_a_login_and_a_command_that_ends_well(reached, command, proved, title):
    verdict = Verdict(
        reached=reached, reason="", seconds=1.0, accel="tcg", console="c", command=command
    )
    assert (verdict.proved, verdict.title) == (proved, title)
