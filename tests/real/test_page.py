"""docs/images.md says what the tests hold, and nothing else."""

import pytest

from tests.real import page
from tests.real.builders import BUILDERS
from tests.real.layouts import LAYOUTS
from tests.real.systems import Proved, Refused


def test_the_page_is_made_of_the_table():
    assert page.PAGE.read_text() == page.page(), "run: python -m tests.real.page"


def test_every_layout_is_in_the_table_and_every_row_is_made_by_something():
    assert set(page.systems_of(from_a_builder=False)) == set(LAYOUTS)
    assert set(page.systems_of(from_a_builder=True)) == set(BUILDERS)


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Proved(), "proved"),
        (Proved(("bios", "uefi")), "proved (bios, uefi)"),
        (Refused(("/var", "/home")), "refused: /var, /home"),
    ],
)
def test_an_outcome_is_told_in_few_words(outcome, words):
    assert page.cell(outcome) == words


def test_a_pair_that_nobody_proved_is_told_as_untried():
    rows = [line for line in page.combinations().splitlines() if line.startswith("| extlinux |")]
    assert len(rows) == 1
    assert "untried" in rows[0]
