"""Texts that know their bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.system.grub import source
from bakery.system.grub.menu import File, Place
from bakery.system.grub.source import decoded, encoded, made, of_file

HERE = File("hd0", "/g")


def test_what_grub_drops_is_dropped_and_places_stay_right() -> None:
    data = b"# c\na\r\nb\0rest\n #d\nlast"
    text = of_file(data, HERE)
    assert text.chars == "a\nb\n #d\nlast\n"
    at = text.chars.index("last")
    assert text.place(at, at + 4) == Place(HERE, data.index(b"last"), len(data))
    assert text.place(2, 3) == Place(HERE, 7, 8)
    assert text.place(0, 0) == Place(HERE, 4, 4)


def test_a_part_is_where_it_was() -> None:
    data = b"#\nabc def\n"
    part = of_file(data, HERE).part(4, 7)
    assert part.chars == "def"
    assert part.place(0, 3) == Place(HERE, 6, 9)
    assert part.part(1, 2).place(0, 1) == Place(HERE, 7, 8)


def test_a_made_text_is_all_at_one_place() -> None:
    place = Place(HERE, 0, 9, "bls")
    assert made("linux /k", place).part(2, 4).place(0, 1) == place


def test_a_file_is_as_large_as_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "SIZE_LIMIT_BYTES", 3)
    assert of_file(b"abc", HERE).chars == "abc\n"
    with pytest.raises(BakeryError, match="4 bytes, more than 3"):
        of_file(b"abcd", HERE)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_is_bytes_and_text_again(text: str) -> None:
    assert decoded(encoded(text)) == text


@given(st.binary())
def test_every_character_is_the_byte_at_its_place(data: bytes) -> None:
    text = of_file(data, HERE)
    for at, char in enumerate(text.chars):
        place = text.place(at, at + 1)
        assert data[place.start : place.start + 1].decode("latin-1") in (char, "")
