"""GRUB's grammar: commands, blocks, branches, loops, functions, and what is wrong."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.system.grub import parse
from bakery.system.grub.menu import File
from bakery.system.grub.parse import Command, For, Function, If, Line, While, lines, walk, ways
from bakery.system.grub.source import of_file

HERE = File("hd0", "/grub.cfg")
PIECES = [
    "if",
    "then",
    "elif",
    "else",
    "fi",
    "for",
    "in",
    "do",
    "done",
    "while",
    "until",
    "function",
    "f",
    "{",
    "}",
    ";",
    "a=b",
    "[",
    "]",
    "'",
    '"',
    "$a\nmenuentry",
    "'x'",
    "$",
    "\\",
    "#",
    "&&",
    "\n",
    "\n",
    "\n",
    "true",
]


def parsed(text: str) -> list[Line]:
    return list(lines(of_file(text.encode(), HERE)))


def one(text: str) -> object:
    (line,) = parsed(text)
    assert not line.problem
    (node,) = line.nodes
    return node


def names(text: str) -> list[str]:
    return [c.words[0].raw for line in parsed(text) for c in walk(line.nodes)]


def test_a_line_is_read_with_all_that_is_open_in_it() -> None:
    found = parsed("a; b\n\nif x\nthen y; fi; c\nd 'e\nf'\n")
    assert [len(line.nodes) for line in found] == [2, 0, 2, 1]


def test_a_block_belongs_to_its_command_and_is_kept_as_text() -> None:
    node = one("menuentry x --id y { a 'b }'\n c {d} }\n")
    assert isinstance(node, Command)
    assert [word.raw for word in node.words] == ["menuentry", "x", "--id", "y"]
    assert node.block is not None
    assert node.block.chars == " a 'b }'\n c {d} "
    assert [command.words[0].raw for command in walk(node.body)] == ["a", "c", "d"]


def test_branches_loops_and_functions() -> None:
    node = one("if a; then b; elif c\nthen d; else e; fi\n")
    assert isinstance(node, If)
    (inner,) = node.otherwise
    assert isinstance(inner, If)
    assert names("if a; then b; elif c\nthen d; else e; fi\n") == ["a", "b", "c", "d", "e"]
    loop = one("for x in 1 '2 3' in\ndo a; done\n")
    assert isinstance(loop, For)
    assert (loop.name, [w.raw for w in loop.words]) == ("x", ["1", "'2 3'", "in"])
    until = one("until a; do b; done\n")
    assert isinstance(until, While)
    assert until.until
    (line,) = parsed("function f\n{\n a $1\n}\n")
    assert isinstance(line.functions[0], Function)
    assert line.functions[0].name == "f"


@pytest.mark.parametrize(
    "text",
    [
        "}",
        "menuentry x { }",
        "menuentry x {",
        "a && b",
        "a | b",
        "; a",
        "a ;; b",
        "then",
        "if a; fi",
        "if a then b; fi",
        "if a; then b fi",
        "for 1 in a; do b; done",
        "for if in a; do b; done",
        "for x in a do b; done",
        "while a; do done",
        "function f { a }",
        "function f { }",
        "if a; then function f { b; }; fi",
        "menuentry x { function f { b; } }",
        "x { a } b",
        "a\n } b",
        "[[ a ]]",
        "case a in b",
        "select x",
    ],
)
def test_what_is_wrong_is_told_and_what_grub_says_as_well(text: str, tmp_path: Path) -> None:
    assert any(line.problem for line in parsed(text + "\n"))
    script = tmp_path / "grub.cfg"
    script.write_text(text + "\n")
    done = subprocess.run(["grub-script-check", script], check=False, capture_output=True)
    assert done.returncode != 0


def test_what_follows_a_line_that_is_wrong_counts_again() -> None:
    found = parsed("a\nb; }; c\nd\nif x\nthen y\n}\ne\n")
    assert [[c.words[0].raw for c in walk(line.nodes)] for line in found] == [
        *(["a"], [], ["d"], [], ["e"])
    ]
    assert [bool(line.problem) for line in found] == [False, True, False, True, False]
    assert "(hd0)/grub.cfg: line 2: } is not expected here" in found[1].problem


def test_a_function_is_defined_even_where_its_line_goes_wrong_behind_it() -> None:
    (line,) = parsed("function f { a; }; }\n")
    assert [function.name for function in line.functions] == ["f"]
    assert line.problem


@pytest.mark.parametrize("more", [0, 1])
def test_blocks_are_as_deep_as_the_bound_allows(more: int) -> None:
    depth = parse.DEPTH_LIMIT + more
    text = "a { " * depth + "b" + " }" * depth
    if more:
        with pytest.raises(BakeryError, match="nests blocks deeper"):
            parsed(text)
    else:
        assert len(names(text)) == depth + 1


def test_the_ways_to_a_command_are_the_branches_that_lead_to_it() -> None:
    text = "if a; then x; else if b; then c; elif d; then x; fi; fi\nif a; then b; fi\n"
    nodes = tuple(node for line in parsed(text) for node in line.nodes)
    assert [list(way.values()) for way in ways(nodes, ("x",))] == [[True], [False, False, True]]
    assert ways(nodes, ("none",)) == []


@given(st.lists(st.sampled_from(PIECES)).map(" ".join) | st.text())
def test_any_text_is_lines(text: str) -> None:
    for line in parsed(text):
        assert not line.problem or line.nodes == ()


@given(st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join))
def test_grub_finds_the_same_texts_wrong(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    script = tmp_path_factory.getbasetemp() / "grub.cfg"
    text = f"true\n{text}\n"  # it takes a script without a command for wrong
    script.write_text(text)
    done = subprocess.run(["grub-script-check", script], check=False, capture_output=True)
    assert any(line.problem for line in parsed(text)) == (done.returncode != 0)
