"""Tables: as wide as the terminal, whole in a file, and what is in their cells stays text."""

import os

from bakery.cli import table
from tests.cli.inside import at_a_terminal

ROWS = [("one", "x" * 100, "5"), ("[bold]\x1b[31m", "y", "12")]


def lines_of(**options):
    return table.text(("name", "what", "size"), ROWS, **options).splitlines()


def test_a_table_in_a_file_has_each_row_on_one_line():
    lines = lines_of(right=("size",))
    assert len([line for line in lines if line.strip()]) == 4  # the headings and a rule above
    assert lines == [line.rstrip() for line in lines]
    assert any(line.split()[:2] == ["one", "x" * 100] for line in lines)
    assert any(line.split()[:2] == [r"[bold]\x1b[31m", "y"] for line in lines)


def test_numbers_end_at_the_same_place_and_words_begin_there():
    ends = [line.rindex(number) + len(number) for line, number in numbered(right=("size",))]
    begins = [line.rindex(number) for line, number in numbered()]
    assert len(set(ends)) == 1 and len(set(begins)) == 1


def numbered(**options):
    lines = [line for line in lines_of(**options) if line.endswith(("5", "12"))]
    return [(line, line.split()[-1]) for line in lines]


def test_a_terminal_breaks_cells_but_those_that_are_to_stay_whole(monkeypatch):
    with at_a_terminal(monkeypatch, columns=60):
        assert max(map(len, lines_of())) <= 60
        rows = [(f"{'i' * 36}", "long words " * 9)]
        told = table.text(("id", "what"), rows, whole=("id",))
    assert "i" * 36 in told and len(told.splitlines()) > 4


def test_a_cell_of_any_length_is_whole_in_a_file(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert os.environ["COLUMNS"] == "60"
    assert any("x" * 100 in line for line in lines_of())
