"""Signs of a system on a console that has been written to before."""

import pytest

from bakery.conductor.console_signs import ConsoleSigns
from bakery.conductor.means import Sign
from bakery.host.errors import BakeryError


@pytest.fixture
def console(tmp_path):
    path = tmp_path / "console.log"
    path.write_text("an older system\nolder login: ")
    return path


def add(path, text):
    with path.open("a") as file:
        file.write(text)


def test_an_older_systems_prompt_is_no_sign(console):
    signs = ConsoleSigns(console)
    assert signs.up(signs.mark(), 0) is None


def test_a_prompt_after_the_mark_is_the_sign(console):
    signs = ConsoleSigns(console)
    mark = signs.mark()
    add(console, "\nbooting\natomic login: ")
    assert signs.up(mark, 0) == Sign("login", "login reached: atomic login:")


def test_another_conductor_finds_the_same_sign_by_the_same_mark(console):
    mark = ConsoleSigns(console).mark()
    add(console, "\natomic login: ")
    assert ConsoleSigns(console).up(mark, 0)


def test_a_panic_is_an_error_once_and_the_next_start_is_looked_at_afresh(console):
    signs = ConsoleSigns(console)
    mark = signs.mark()
    add(console, "\nKernel panic - not syncing: no init\n")
    with pytest.raises(BakeryError, match=r"kernel panic: .*no init"):
        signs.up(mark, 0)
    add(console, "atomic login: ")
    assert signs.up(mark, 0)


def test_a_console_that_is_not_there_yet_has_no_sign(tmp_path):
    signs = ConsoleSigns(tmp_path / "none")
    assert signs.up(signs.mark(), 0) is None


def test_a_sign_is_waited_for_no_longer_than_it_is_asked(console, monkeypatch):
    slept: list[float] = []
    clock = iter(range(100))
    monkeypatch.setattr("bakery.conductor.console_signs.time.sleep", slept.append)
    monkeypatch.setattr("bakery.conductor.console_signs.time.monotonic", lambda: next(clock))
    signs = ConsoleSigns(console)
    assert signs.up(signs.mark(), 3) is None
    assert slept == [0.1, 0.1]


def test_what_was_read_is_not_read_again_for_the_same_mark(console):
    signs = ConsoleSigns(console)
    mark = signs.mark()
    add(console, "\natomic lo")
    assert signs.up(mark, 0) is None
    add(console, "gin: ")
    assert signs.up(mark, 0) == Sign("login", "login reached: atomic login:")


def test_a_later_mark_begins_anew(console):
    signs = ConsoleSigns(console)
    add(console, "\natomic login: ")
    assert signs.up(0, 0)
    add(console, "\nrestarting")
    mark = signs.mark()
    assert signs.up(mark, 0) is None
    add(console, "\nnext login: ")
    assert signs.up(mark, 0) == Sign("login", "login reached: next login:")


def test_the_first_sign_is_the_one_though_more_comes_behind_it(console):
    signs = ConsoleSigns(console)
    mark = signs.mark()
    add(console, "\nKernel panic - not syncing: first\nrebooting\nKernel panic - not syncing: b\n")
    with pytest.raises(BakeryError, match="first") as caught:
        signs.up(mark, 0)
    assert str(console) in caught.value.hint
    assert signs.up(mark, 0) is None
