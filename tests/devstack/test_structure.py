import pytest

from bakery.devstack import structure
from tests.devstack.subjects import hints, subject, told

LOCAL = "[[local|localrc]]\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (LOCAL, []),
        ("[[post-config|$IRONIC_CONF_FILE]]", []),
        ("[[post-config |$IRONIC_CONF_FILE]]", [("header-blank", 1)]),
        ("[[post-config|$IRONIC_CONF_FILE ]]", []),
        ("[[posted|a]]", [("phase", 1)]),
        ("a\n [[local|localrc]]", [("header", 2)]),
        (f"{LOCAL}[[ab]]\n\n[[c", [("header", 2), ("header", 4)]),
    ],
)
def test_a_header_is_one_that_devstack_takes(text, found):
    assert told(structure.headers, subject(text)) == found


def test_line_ends_of_dos_are_told_once_at_the_first():
    text = f"# a\n{LOCAL.strip()}\r\nADMIN_PASSWORD=a\r\nB=1\n"
    assert told(structure.line_ends, subject(text)) == [("line-ends", 2)]
    assert told(structure.line_ends, subject(text.replace("\r", ""))) == []
    assert "sed -i" in hints(structure.line_ends, subject(text))[0]


def test_a_phase_is_told_with_the_one_that_was_meant_or_all():
    assert hints(structure.headers, subject("[[post-confg|a]]")) == ["did you mean post-config?"]
    assert hints(structure.headers, subject("[[xyz|a]]")) == [
        "it has local, post-config, extra, post-extra, test-config"
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("# a\n\n" + LOCAL, []),
        ("# a\nA=1\nB=1\n" + LOCAL, [("outside", 2)]),
        (" [[a|b]]\n", []),
        ("  # a\n  A=1\n", [("outside", 2)]),
    ],
)
def test_what_stands_before_the_first_header_is_told_once(text, found):
    assert told(structure.outside, subject(text)) == found


def test_the_section_is_there_named_so_and_not_put_aside():
    assert told(structure.local_sections, subject(LOCAL)) == []
    assert told(structure.local_sections, subject("")) == [("no-localrc", 0)]
    assert told(structure.local_sections, subject("[[extra|localrc]]")) == [("no-localrc", 0)]
    wrong = subject(f"[[local|a]]\n{LOCAL}")
    assert told(structure.local_sections, wrong) == [("local-file", 1)]
    beside = subject(f"\n{LOCAL}", beside=("localrc",))
    assert told(structure.local_sections, beside) == [("localrc-beside", 2)]
    assert told(structure.local_sections, subject(LOCAL, beside=("local.sh",))) == []


@pytest.mark.parametrize(
    ("header", "localrc", "found"),
    [
        ("[[post-config|$IRONIC_CONF_FILE]]", "", []),
        ("[[post-config|${IRONIC_CONF_FILE}]]", "", []),
        ("[[post-config|/etc/ironic/ironic.conf]]", "", []),
        ("[[post-config|/$Q_PLUGIN_CONF_FILE]]", "", []),
        ("[[post-config|$MINE/a]]", "MINE=/a", []),
        ("[[post-config|$NOVA_CONF/a]]", "", []),
        ("[[local|a]]", "", []),
        ("[[post-config|]]", "", ["no-file"]),
        ("[[post-config |x]]", "", []),  # the blank is told
        ("[[post-config|$Q_PLUGIN_CONF_FILE]]", "", ["relative-file"]),
        ("[[post-config|ironic.conf]]", "", ["relative-file"]),
        ("[[post-config|$MINE/a]]", "", ["file-variable"]),
        ("[[test-config|$IRONIC_CONF]]", "", ["file-variable"]),
    ],
)
def test_a_section_is_merged_into_a_file_that_is_there(header, localrc, found):
    about = subject(f"{LOCAL}{localrc}\n{header}")
    assert told(structure.files, about) == [(rule, 3) for rule in found]


def test_a_variable_is_told_with_the_one_that_was_meant():
    (finding,) = structure.files(subject("[[extra|$IRONIC_CONF_FIL]]"))
    assert (finding.level, finding.hint) == ("warning", "did you mean $IRONIC_CONF_FILE?")
    assert "skip this and all further sections of extra" in finding.message
    assert hints(structure.files, subject("[[extra|$ZZZZZZ]]")) == [""]
    assert hints(structure.files, subject("[[extra|$Q_PLUGIN_CONF_FILE]]")) == [
        "write /$Q_PLUGIN_CONF_FILE"
    ]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("[pxe]\na=1\n# b\n\n", []),
        ("a=1", [("no-section", 2)]),
        ("[pxe]\na", [("no-equals", 3)]),
        ("a", [("no-equals", 2)]),
        ("[pxe]\n a=1\n\tb=1\n c\n #d=1", [("indented", 3), ("indented", 4)]),
    ],
)
def test_a_line_of_a_merged_section_is_an_option(body, found):
    assert told(structure.options, subject(f"[[extra|/a]]\n{body}")) == found
    assert told(structure.options, subject(f"{LOCAL}{body}")) == []
    assert told(structure.options, subject(f"{LOCAL}[[extra|/a]]\n{body}")) == [
        (rule, line + 1) for rule, line in found
    ]
