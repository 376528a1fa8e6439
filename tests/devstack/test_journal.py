"""The journal of a runbook: whole, and on the disk before anything is worked for."""

import time
from pathlib import Path

import pytest

from bakery.devstack.journal import VERSION, Journal, Record
from bakery.host.errors import BakeryError
from tests.devstack.test_run import a_step


def test_a_step_is_on_the_disk_before_it_is_acted_on(tmp_path, on_disk):
    journal = Journal(tmp_path / "journal.json")
    journal.note(a_step(tmp_path), "begun")
    on_disk.assert_durable(journal.path)
    journal.note(a_step(tmp_path), "done")
    on_disk.assert_durable(journal.path)


def test_the_other_steps_stay_as_they_are(tmp_path):
    journal = Journal(tmp_path / "journal.json")
    one, two = a_step(tmp_path), a_step(tmp_path, "two")
    journal.note(one, "done")
    journal.note(two, "begun")
    found = {name: entry.state for name, entry in journal.read().steps.items()}
    assert found == {"one": "done", "two": "begun"}


def test_the_journal_is_its_owners_alone(tmp_path):
    journal = Journal(tmp_path / "journal.json")
    journal.note(a_step(tmp_path), "begun")
    assert journal.path.stat().st_mode & 0o777 == 0o600


def test_what_was_never_written_is_empty(tmp_path):
    journal = Journal(tmp_path / "journal.json")
    assert journal.read() == Record()
    assert journal.entry(a_step(tmp_path)) is None


def test_an_entry_is_that_of_the_same_commands(tmp_path):
    journal = Journal(tmp_path / "journal.json")
    before = time.time()
    journal.note(a_step(tmp_path), "done")
    found = journal.entry(a_step(tmp_path))
    assert found is not None
    assert (found.state, found.digest) == ("done", a_step(tmp_path).digest)
    assert before <= found.at <= time.time()
    assert journal.entry(a_step(tmp_path, script="other")) is None
    assert journal.entry(a_step(tmp_path, "two")) is None


def test_a_journal_of_another_version_is_told_with_the_way_out(tmp_path):
    path = tmp_path / "journal.json"
    path.write_text('{"version": 7}')
    with pytest.raises(BakeryError, match=f"is version 7; this bakery reads {VERSION}") as refused:
        Journal(path).read()
    assert refused.value.hint == f"to start over: rm {path}"


def test_a_journal_is_held_by_one_run_and_free_again_afterwards(tmp_path):
    journal = Journal(tmp_path / "journal.json")
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(2):
        with pytest.raises(ValueError), journal.held():
            with (
                pytest.raises(BakeryError, match="another run is using") as refused,
                journal.held(),
            ):
                pytest.fail("it was held twice")
            raise ValueError
    assert "--journal" in refused.value.hint
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    assert (tmp_path / "journal.json.lock").stat().st_mode & 0o777 == 0o600
    with pytest.raises(BakeryError, match="cannot be written"), Journal(tmp_path / "a/b").held():
        pytest.fail("there is no such folder")


def test_a_journal_of_the_first_version_is_read(tmp_path):
    path = tmp_path / "journal.json"
    path.write_text('{"steps": {"one": {"state": "done", "at": 1.5, "digest": "d"}}, "version": 1}')
    found = Journal(path).read().steps["one"]
    assert (found.state, found.at, found.digest) == ("done", 1.5, "d")
