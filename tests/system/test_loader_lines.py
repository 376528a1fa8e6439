import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.system import loader_lines


def pairs(text: bytes, separators: str = " \t") -> list[tuple[str, str]]:
    return list(loader_lines.pairs(text, "a file", separators))


def test_a_line_is_a_key_blanks_and_the_rest() -> None:
    text = b"title  Arch Linux \n\tlinux\t/vmlinuz\r\n# no\noptions root=x  quiet\nalone\n\n"
    assert pairs(text) == [
        ("title", "Arch Linux"),
        ("linux", "/vmlinuz"),
        ("options", "root=x  quiet"),
    ]


def test_quotes_round_a_whole_value_go_and_others_stay() -> None:
    text = b'a="x y"\nb=\'x\'\nc="x\nd=x"y"\ne="\nf=\n'
    assert dict(pairs(text, "=")) == {
        "a": "x y", "b": "x", "c": '"x', "d": 'x"y"', "e": "", "f": "",
    }  # fmt: skip


def test_a_file_ends_at_its_first_nul_and_bytes_that_are_no_text_are_dropped() -> None:
    assert pairs(b"a b\xffc\nx y\0\nd e\n") == [("a", "bc"), ("x", "y")]


def test_each_limit_is_one() -> None:
    assert len(pairs(b"a " + b"v" * loader_lines.VALUE_LIMIT)) == 1
    assert len(pairs(b"a b\n" * (loader_lines.LINE_LIMIT - 1))) == loader_lines.LINE_LIMIT - 1
    for text, what in (
        (b"a " + b"v" * (loader_lines.VALUE_LIMIT + 1), "characters"),
        (b"a b\n" * loader_lines.LINE_LIMIT, "lines"),
        (b"#" * (loader_lines.SIZE_LIMIT_BYTES + 1), "bytes"),
    ):
        with pytest.raises(BakeryError, match=f"a file (has|holds) .*{what}"):
            pairs(text)


@given(st.binary(max_size=200), st.sampled_from([" \t", "="]))
def test_any_bytes_are_lines(text: bytes, separators: str) -> None:
    for key, value in pairs(text, separators):
        assert not set(key) & set(separators)
        assert not set(key + value) & set("\n\r\0")
