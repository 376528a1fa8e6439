"""The glossary and the code use the same names."""

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (REPOSITORY / "docs/glossary.md").read_text().splitlines()
    if line.startswith("|") and not line.startswith(("|---", "| word "))
]
NAMES = [(word, name) for word, _, cell in ROWS for name in re.findall(r"`([\w.]+)`", cell)]


def test_each_word_has_one_meaning():
    words = [word for row in ROWS for word in row[0].split(", ")]
    assert len(words) == len(set(words)) > 50
    assert all(meaning for _, meaning, _ in ROWS)


@pytest.mark.parametrize(("word", "name"), NAMES)
def test_what_a_word_names_in_the_code_is_there(word, name):
    path = REPOSITORY.joinpath("bakery", *name.split("."))
    if path.with_suffix(".py").exists():
        return
    defined = ast.parse(path.parent.with_suffix(".py").read_text()).body
    assert path.name in {getattr(one, "name", "") for one in defined}, word
