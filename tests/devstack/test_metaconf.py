import pytest

from bakery.devstack import metaconf
from bakery.devstack.metaconf import Line, Option, Section
from bakery.host.errors import BakeryError

TEXT = """\
before
[[local|localrc]] # and more
A=1
[[post-config|$IRONIC_CONF_FILE|more]]
[pxe] # words
 indented = 1
#b=1

c = d = e\x20
f
\tg=1
[[local|localrc]]
B=2"""


def test_a_file_is_taken_apart_with_its_lines():
    found = metaconf.parse(TEXT)
    assert found.before == (Line(1, "before"),)
    assert [(s.phase, s.file, s.header.number) for s in found.sections] == [
        ("local", "localrc", 2),
        ("post-config", "$IRONIC_CONF_FILE", 4),
        ("local", "localrc", 12),
    ]
    assert found.localrc == (Line(3, "A=1"), Line(13, "B=2"))
    assert [s.header.number for s in found.of("local", "localrc")] == [2, 12]
    assert found.of("local", "$IRONIC_CONF_FILE") == []
    assert found.first_lines == 0


def test_options_are_the_lines_that_are_merged():
    (section,) = metaconf.parse(TEXT).of("post-config", "$IRONIC_CONF_FILE")
    assert metaconf.options(section) == [
        Option(9, "pxe", "c", "d = e"),
        Option(10, "pxe", "", ""),
    ]
    bare = Section("extra", "a", Line(1, ""), (Line(2, "x=1"), Line(3, "[a b]"), Line(4, "y=2")))
    assert metaconf.options(bare) == [Option(2, "", "x", "1"), Option(4, "a", "y", "2")]


def test_a_pair_is_one_document_and_its_own_section_counts_alone():
    found = metaconf.pair("A=1\nB=2\n", "x\n[[local|localrc]]\nA=3\n[[extra|a]]\nb=1")
    assert found.first_lines == 3
    assert found.before == (Line(4, "x"),)
    assert [(s.phase, s.file, s.header.number) for s in found.sections] == [
        ("local", "localrc", 0),
        ("extra", "a", 7),
    ]
    assert found.localrc == (Line(1, "A=1"), Line(2, "B=2"), Line(3, ""))
    assert found.sections[1].lines == (Line(8, "b=1"),)


@pytest.mark.parametrize(
    ("text", "meant"),
    [("[[a|b]]", False), (" [[a|b]]", True), ("[[ab]]", True), ("x [[a", False), ("", False)],
)
def test_what_was_meant_as_a_header_and_is_none(text, meant):
    assert metaconf.looks_like_header(text) == meant


def test_a_file_of_the_largest_size_is_read(tmp_path):
    path = tmp_path / "local.conf"
    path.write_bytes(b"#" * metaconf.SIZE_LIMIT_BYTES)
    assert len(metaconf.load(path)) == metaconf.SIZE_LIMIT_BYTES
    for content in (b"#" * (metaconf.SIZE_LIMIT_BYTES + 1), b"a\0"):
        path.write_bytes(content)
        with pytest.raises(BakeryError, match="over 1048576 bytes, or binary"):
            metaconf.load(path)
    path.write_bytes(b"ab\xff")
    with pytest.raises(BakeryError, match="is not text: byte 2 is not UTF-8"):
        metaconf.load(path)
    with pytest.raises(BakeryError, match="cannot be read: Is a directory"):
        metaconf.load(tmp_path)
