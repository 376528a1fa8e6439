"""The table of rules, and what a user's own file does to it."""

from pathlib import Path

import pytest

from bakery.errors import BakeryError
from bakery.scrub import rules


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
