import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakery.disk.volumes import lvm_config
from bakery.host.errors import BakeryError


def test_sections_keys_and_comments_are_read():
    text = b"""# made by hand
    vg { seqno = 3 # the third
         status = ["READ", "WRITE"]  tags = []
         inner { n = -7 s = "a \\"b\\" \\\\" } }
    version = 1"""
    assert lvm_config.parse(text) == {
        "vg": {
            "seqno": 3,
            "status": ["READ", "WRITE"],
            "tags": [],
            "inner": {"n": -7, "s": 'a "b" \\'},
        },
        "version": 1,
    }


def test_a_section_may_have_a_number_for_a_name():
    assert lvm_config.parse(b"2014 { 1 = 2 }") == {"2014": {"1": 2}}


@pytest.mark.parametrize(
    "text",
    [
        b"a", b"a =", b"a = b", b"a { ", b"}", b"a = 1 }", b"= 1", b"a = [", b"a = [1 2]",
        b"a = [[1]]", b"a = [,]", b'a = "', b'"a" = 1', b"a = 1 a = 2", b"a { } a { }",
        b"a = 99999999999999999999999999", b"a = 1.5", b"a == 1", b"a = 1; b = 2", b"\x00",
        b"a { b { c { d { e { f { g { h { i { } } } } } } } } }",
    ],
)  # fmt: skip
def test_text_outside_the_grammar_is_refused(text):
    with pytest.raises(BakeryError, match="LVM metadata"):
        lvm_config.parse(text)


def test_a_text_without_end_is_refused_before_it_is_read():
    with pytest.raises(BakeryError, match="longer than"):
        lvm_config.parse(b"#" * (lvm_config.TEXT_LIMIT_BYTES + 1))


def test_ten_thousand_open_sections_do_not_exhaust_the_stack():
    with pytest.raises(BakeryError):
        lvm_config.parse(b"a {" * 10000)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='ab01-_.{}[]=,"#\\ \n\t\x00é', max_size=200))
def test_any_text_is_read_or_refused(text):
    try:
        lvm_config.parse(text.encode())
    except BakeryError:
        return


NAMES = st.from_regex(r"[a-z][a-z0-9_.+-]{0,8}", fullmatch=True)
SCALARS = st.integers(-(2**62), 2**62) | st.text(max_size=20).filter(lambda t: "\0" not in t)
TREES = st.recursive(
    SCALARS | st.lists(SCALARS, max_size=3),
    lambda inner: st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(NAMES, TREES, max_size=4))
def test_what_is_written_is_read_back(tree):
    def write(value):
        if isinstance(value, dict):
            return "{" + " ".join(f"{k} {entry(v)}" for k, v in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(write, value)) + "]"
        if isinstance(value, int):
            return str(value)
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    def entry(value):
        return write(value) if isinstance(value, dict) else "= " + write(value)

    text = "\n".join(f"{k} {entry(v)}" for k, v in tree.items()).encode("utf-8", "replace")
    if depth(tree) <= lvm_config.DEPTH_LIMIT:
        assert lvm_config.parse(text) == tree


def depth(value: object) -> int:
    if not isinstance(value, dict):
        return 0
    return 1 + max((depth(inner) for inner in value.values()), default=0)
