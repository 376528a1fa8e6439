"""The fuzzer finds what it is there to find, and its own targets take their seeds."""

import random
from pathlib import Path

import pytest

from bakery.errors import BakeryError
from tests.fuzz.mutate import attempt, mutated
from tests.fuzz.seeds import Target, targets


def test_every_parser_takes_its_seed(tmp_path: Path):
    for target in targets(tmp_path):
        target.parse(target.seed)


def test_a_refusal_is_no_finding_and_a_crash_is_one():
    def refuses(data: bytes) -> None:
        raise BakeryError("no")

    def crashes(data: bytes) -> None:
        raise ValueError("oh")

    assert attempt(Target("a", refuses, b"x"), b"x") == ""
    assert "ValueError: oh" in attempt(Target("b", crashes, b"x"), b"x")


@pytest.mark.parametrize("number", range(3))
def test_a_thousand_mutations_of_each_give_no_finding(number: int, tmp_path: Path):
    chance = random.Random(number)
    for target in targets(tmp_path):
        for _ in range(1000 // 3):
            data = mutated(target.seed, chance)
            assert attempt(target, data) == "", (target.name, data[:200])
