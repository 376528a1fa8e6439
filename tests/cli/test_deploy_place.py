"""Where the nodes of a deploy are: words that do not go together, and what they come to."""

from pathlib import Path

import pytest

from bakery.cli.deploy import command
from bakery.cli.deploy_place import Place
from bakery.conductor import lab_site, rack_site
from bakery.host.errors import UsageError

NOWHERE = Place(None, None, every=False, state=None, lab=None)
RACK = Place(Path("rack.yaml"), "eno2", every=False, state=None, lab=None)


def place(base, **more):
    return Place(**{**vars(base), **more})


@pytest.fixture
def made(monkeypatch):
    """What the makers are asked for."""
    asked = []
    monkeypatch.setattr(
        lab_site, "of_lab", lambda *words, redfish: asked.append(("lab", *words, redfish))
    )
    monkeypatch.setattr(
        rack_site, "of_file", lambda *words, every: asked.append(("rack", *words, every))
    )
    return asked


@pytest.mark.parametrize(
    ("where", "names", "until", "reason"),
    [
        (place(RACK, every=True), ("r1",), "any", "--all already includes"),
        (RACK, (), "any", "no NODE is named"),
        (NOWHERE, (), "any", "no NODE is named"),
        (place(RACK, lab=Path("x")), ("r1",), "any", "mutually exclusive"),
        (RACK, ("r1",), "login", "no login prompt can be seen"),
        (place(RACK, interface=None), ("r1",), "any", "needs the interface"),
        (place(NOWHERE, interface="eno2"), ("r1",), "any", "--interface goes with --nodes"),
        (place(NOWHERE, state=Path("s")), ("r1",), "any", "--state goes with --nodes"),
        (place(NOWHERE, every=True), (), "any", "--all goes with --nodes"),
    ],
)
def test_words_that_do_not_go_together_are_wrong_usage(made, where, names, until, reason):
    with pytest.raises(UsageError, match=reason) as caught:
        where.site(names, until, by_media=False)
    assert caught.value.hint and made == []


def test_a_lab_is_taken_where_no_nodes_file_is_named(made, monkeypatch, tmp_path):
    monkeypatch.setenv("BAKERY_LAB", str(tmp_path / "lab"))
    NOWHERE.site(("1",), "login", by_media=False)
    place(NOWHERE, lab=tmp_path / "other").site(("1",), "any", by_media=True)
    assert made == [
        ("lab", tmp_path / "lab", ("1",), False),
        ("lab", tmp_path / "other", ("1",), True),
    ]


def test_a_rack_keeps_its_journals_where_it_is_told(made, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    RACK.site(("r1-*",), "ssh", by_media=False)
    place(RACK, state=tmp_path / "s", every=True).site((), "any", by_media=False)
    file = Path("rack.yaml")
    assert made == [
        ("rack", file, ("r1-*",), "eno2", tmp_path / "bakery/rack", False),
        ("rack", file, (), "eno2", tmp_path / "s", True),
    ]


def test_a_command_has_the_options_of_both_places():
    names = {name for option in command.params for name in option.opts}
    assert {"--nodes", "--interface", "--all", "--state", "--lab"} <= names
