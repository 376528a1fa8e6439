"""The table of rules, and what a user's own file does to it."""

from pathlib import Path

import pytest

from bakery.build.scrub import rules
from bakery.host.errors import BakeryError


def own(folder: Path, text: str) -> Path:
    file = folder / "own.toml"
    file.write_text(text)
    return file


def test_every_built_in_rule_says_why_and_where():
    found = rules.load()
    assert {rule.action for rule in found} == {"remove", "empty", "blank"}
    assert {"ssh-host-keys", "cloud-init", "machine-id", "logs", "swap"} <= {r.name for r in found}
    assert sum(len(rule.paths) for rule in found) >= 60


def test_a_rule_of_ones_own_comes_first_and_takes_the_place_of_its_namesakes(tmp_path):
    text = '[[rule]]\nname = "machine-id"\nwhy = "ours"\npaths = ["/etc/ours"]\n'
    found = rules.load(own(tmp_path, text))
    assert found[0].paths == ("/etc/ours",)
    assert [rule.name for rule in found].count("machine-id") == 1


def test_a_rule_can_be_switched_off(tmp_path):
    found = rules.load(own(tmp_path, 'off = ["logs", "old-logs"]\n'))
    assert {rule.name for rule in rules.load()} - {rule.name for rule in found} == {
        "logs",
        "old-logs",
    }


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("rule = 1", "rule"),
        ("[[rule]", "not TOML"),
        ("off = " + "9" * 5000, "not TOML"),
        ("off = " + "[" * 5000, "not TOML"),
        ('off = ["lgos"]', "lgos"),
        ('[[rule]]\nname = "a"\nwhy = "b"\n', "paths"),
        ('[[rule]]\nname = "a"\nwhy = "b"\npaths = []\n', "length"),
        ('[[rule]]\nname = "a"\nwhy = "b"\npath = ["/x"]\npaths = ["/x"]\n', "path"),
        ('[[rule]]\nname = "a"\nwhy = "b"\npaths = ["x"]\n', "absolute"),
        ('[[rule]]\nname = "a"\nwhy = "b"\npaths = ["/"]\n', "everything"),
        ('[[rule]]\nname = "a"\nwhy = "b"\npaths = ["/etc/../x"]\n', ".."),
        ('[[rule]]\nname = "a"\nwhy = "b"\npaths = ["/e\\u0000"]\n', "printable"),
        ('[[rule]]\nname = "a"\nwhy = "b"\npaths = ["/x"]\naction = "burn"\n', "burn"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_what_is_wrong(tmp_path, text, word):
    file = own(tmp_path, text)
    with pytest.raises(BakeryError) as refused:
        rules.load(file)
    assert str(file) in refused.value.message
    assert word in refused.value.message


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BakeryError, match="No such file"):
        rules.load(tmp_path / "none.toml")


def rule(folder: Path, paths: str, keep: str = "[]") -> Path:
    return own(folder, f'[[rule]]\nname = "a"\nwhy = "b"\npaths = {paths}\nkeep = {keep}\n')


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("/etc/x", None),
        ("~/x", None),
        ("/**", None),
        ("~x", "is neither absolute nor begins with ~/"),
        ("~/", "is everything there is"),
        ("/etc//x", "holds an empty name, or . or .."),
        ("/./x", "holds an empty name, or . or .."),
        ("~/..", "holds an empty name, or . or .."),
    ],
)
def test_a_pattern_is_one_that_can_be_looked_for(tmp_path, pattern, problem):
    for paths, keep in ((f"['/x', '{pattern}']", "[]"), ("['/x']", f"['{pattern}']")):
        made = rule(tmp_path, paths, keep)
        if problem is None:
            assert rules.load(made)[0].name == "a"
        else:
            with pytest.raises(BakeryError) as refused:
                rules.load(made)
            assert refused.value.message == f"{made}: rule 'a': {pattern!r} {problem}"


def test_the_names_of_a_pattern():
    assert list(rules.parts("/etc/a*/b/")) == ["etc", "a*", "b"]
    assert list(rules.parts("~/.ssh")) == [".ssh"]
    assert list(rules.parts("/")) == []


def test_a_name_has_forty_letters_at_most(tmp_path):
    text = '[[rule]]\nname = "{}"\nwhy = "b"\npaths = ["/x"]\n'
    assert rules.load(own(tmp_path, text.format("n" * 40)))[0].name == "n" * 40
    for name in ("", "n" * 41):
        with pytest.raises(BakeryError, match="length") as refused:
            rules.load(own(tmp_path, text.format(name)))
        assert "docs/scrub.md" in refused.value.hint


def test_a_rule_that_is_switched_off_is_told_with_those_there_are(tmp_path):
    with pytest.raises(BakeryError, match="off: there is no rule 'x'") as refused:
        rules.load(own(tmp_path, 'off = ["logs", "x"]'))
    assert "there are: " in refused.value.hint
    assert "machine-id, " in refused.value.hint
    (tmp_path / "own.toml").write_bytes(b"\xff")
    with pytest.raises(BakeryError, match="is not TOML"):
        rules.load(tmp_path / "own.toml")
