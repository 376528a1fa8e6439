"""`bakery deploy status` and `log`: what the journals tell, and a node that is called so."""

import json
from uuid import UUID

import pytest

from bakery.conductor.journal import Deployment, Journal, Machine, Record, State, Visit
from bakery.conductor.wanted import Wanted
from tests.cli.inside import ask, document, refusal, told


@pytest.fixture
def state(tmp_path):
    """A folder with the journals of two nodes; the second one failed."""
    ends: list[tuple[str, State, str]] = [
        ("r1-01", "running", ""),
        ("r1-02", "failed", "the BMC does not answer"),
    ]
    for number, (name, end, reason) in enumerate(ends, 1):
        record = Record(
            node=UUID(int=number),
            name=name,
            wanted=Wanted(build="k" * 64, name="atomic"),
            state=end,
            deployment=Deployment("the-key", "the-token", UUID(int=7), "11" * 32),
            reason=reason,
            sign="ssh" if end == "running" else "",
            machine=Machine(("52:54:00:00:00:01",), "S1", "ACME", "D1", 512),
            visits=(Visit("enroll", 0.0), Visit(end, 60.0)),
        )
        Journal(tmp_path / "rack", record.node).write(record)
    return tmp_path / "rack"


def test_every_node_is_told_with_its_state_and_its_sign(state):
    lines = told("deploy", "status", "--state", state).splitlines()
    first, second = (line.split() for line in lines if "r1-" in line)
    assert first[:2] == ["r1-01", "running"] and "ssh" in first
    assert second[:2] == ["r1-02", "failed"]


def test_a_program_gets_all_but_the_secrets(state):
    first, second = document("deploy", "status", "--state", state)
    assert (first["state"], first["sign"], first["worked_on_by"]) == ("running", "ssh", "")
    assert first["machine"]["disk_model"] == "ACME"
    assert second["reason"] == "the BMC does not answer"
    text = json.dumps([first, second])
    assert not any(secret in text for secret in ("the-key", "the-token", "11" * 32))


def test_who_works_on_a_node_is_told(state):
    with Journal(state, UUID(int=1)).held():
        first, second = document("deploy", "status", "--state", state)
    assert first["worked_on_by"].startswith("process ") and second["worked_on_by"] == ""


@pytest.mark.parametrize("name", ["r1-02", str(UUID(int=2))])
def test_a_nodes_log_has_its_states_and_its_reason(state, name):
    lines = told("deploy", "log", name, "--state", state).splitlines()
    assert lines[0].startswith("r1-02") and "atomic" in lines[0]
    assert [line.split()[-1] for line in lines[1:3]] == ["enroll", "failed"]
    assert "the BMC does not answer" in lines[3]


def test_a_node_without_a_journal_is_refused(state):
    assert "no journal" in str(refusal("deploy", "log", "r9", "--state", state))


def test_nothing_was_deployed_yet(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("BAKERY_LAB", str(tmp_path / "lab"))
    assert told("deploy", "status") == "nothing was deployed from here\n"
    assert document("deploy", "status") == []


def test_labs_and_racks_are_told_together(state, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("BAKERY_LAB", str(tmp_path / "lab"))
    (tmp_path / "xdg/bakery").mkdir(parents=True)
    state.rename(tmp_path / "xdg/bakery/rack")
    record = Journal(tmp_path / "xdg/bakery/rack", UUID(int=1)).read()
    assert record
    Journal(tmp_path / "lab-deploys", record.node).write(record)
    assert [one["name"] for one in document("deploy", "status")] == ["r1-01", "r1-01", "r1-02"]


def test_a_node_that_is_called_status_is_named_behind_the_options(tmp_path):
    words = ("--image", tmp_path, "--lab", tmp_path / "lab")
    assert "no lab is up" in str(refusal("deploy", *words, "status"))
    done = ask("deploy", "status", *words)
    assert "No such option" in str(done.exception) and "after the options" in str(done.exception)


@pytest.mark.parametrize("word", ["status", "log"])
def test_each_has_help_of_its_own(bakery, word):
    done = bakery("deploy", word, "--help")
    assert done.returncode == 0 and f"bakery deploy {word}" in done.stdout
