"""What is wrong, where, and what to do about it."""

import pytest

from bakery.host.problem import Problem


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (("lab.toml:7", "kernel_arg"), "lab.toml:7: kernel_arg: no such key"),
        (("rack-1", ""), "rack-1: no such key"),
        (("", "ports[0]"), "ports[0]: no such key"),
        ((), "no such key"),
    ],
)
def test_a_problem_names_its_place_from_the_outside_in(place, text):
    assert str(Problem(place, "no such key", hint="see the docs")) == text
