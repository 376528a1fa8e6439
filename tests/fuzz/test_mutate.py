"""The fuzzer finds what it is there to find, and its own targets take their seeds."""

import random
from collections.abc import Sequence

import pytest

from bakery.host.errors import BakeryError
from tests.fuzz.mutate import Run, attempt
from tests.fuzz.seeds import targets
from tests.fuzz.target import Target

EACH = 300


@pytest.fixture(scope="module")
def parsers(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Target]:
    return targets(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.xdist_group("fuzz")
def test_every_parser_has_a_name_of_its_own_and_takes_its_seed(parsers: Sequence[Target]):
    assert len({target.name for target in parsers}) == len(parsers)
    for target in parsers:
        target.parse(target.seed)


@pytest.mark.xdist_group("fuzz")
def test_some_hundred_mutations_of_each_give_no_finding(parsers: Sequence[Target]):
    run = Run(parsers, random.Random(1))
    run.go(EACH * len(parsers))
    assert set(run.tried.values()) == {EACH}
    assert not run.findings


def test_a_refusal_is_no_finding_and_a_crash_is_one():
    def refuses(data: bytes) -> None:
        raise BakeryError("no")

    def crashes(data: bytes) -> None:
        raise ValueError("oh")

    assert attempt(Target("a", refuses, b"x"), b"x") == ""
    assert "ValueError: oh" in attempt(Target("b", crashes, b"x"), b"x")
