"""A node's file: whole, private, held by one, and told when it cannot be read."""

import fcntl
import os
import threading
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bakery.conductor.journal import AgentInfo, Deployment, Journal, Record, Visit, all_in
from bakery.conductor.wanted import Wanted
from bakery.host.errors import BakeryError

NODE = UUID("6a3c9a3e-4b5f-4c39-9d5b-0f6a2b1c7d11")


def record():
    return Record(
        node=NODE,
        name="node-1",
        wanted=Wanted(build="k1", name="sample"),
        state="writing",
        deployment=Deployment.fresh(),
        agent=AgentInfo("192.0.2.7", "iqn.x"),
        visits=(Visit("writing", 1.5),),
    )


def test_what_was_written_is_read(tmp_path):
    written = record()
    Journal(tmp_path, NODE).write(written)
    assert Journal(tmp_path, NODE).read() == written


def test_nothing_was_written_yet(tmp_path):
    assert Journal(tmp_path, NODE).read() is None


def test_nobody_else_may_read_the_secrets(tmp_path):
    Journal(tmp_path / "journals", NODE).write(record())
    assert (tmp_path / "journals").stat().st_mode & 0o077 == 0


def test_a_node_is_held_by_one_conductor(tmp_path):
    with (
        Journal(tmp_path, NODE).held(),
        pytest.raises(BakeryError, match="another bakery deploy"),
        Journal(tmp_path, NODE).held(),
    ):
        pass
    with Journal(tmp_path, NODE).held():
        pass


def test_two_deployments_share_no_secret():
    one, other = Deployment.fresh(), Deployment.fresh()
    assert len({one.key, other.key, one.token, other.token}) == 4


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b'{"version": 1}', b"\xff\xff", b"[" * 100000],
    ids=["empty", "cut", "list", "lacking", "bytes", "deep"],
)
def test_a_damaged_journal_is_named_with_the_way_out(tmp_path, text):
    journal = Journal(tmp_path, NODE)
    journal.path.write_bytes(text)
    with pytest.raises(BakeryError, match="cannot be used") as caught:
        journal.read()
    assert caught.value.hint.endswith(f"rm {journal.path}")


def test_a_journal_of_another_version_is_not_guessed_at(tmp_path):
    journal = Journal(tmp_path, NODE)
    journal.write(record())
    journal.path.write_bytes(journal.path.read_bytes().replace(b'"version": 2', b'"version": 3'))
    with pytest.raises(BakeryError, match="version 3"):
        journal.read()


def test_a_state_is_on_the_disk_before_it_is_worked_for(tmp_path, on_disk):
    journal = Journal(tmp_path, NODE)
    journal.write(record())
    on_disk.assert_durable(journal.path)


def test_a_deployment_has_secrets_that_nobody_guesses():
    made = Deployment.fresh()
    assert [len(bytes.fromhex(text)) for text in (made.key, made.token, made.signing_key)] == [
        *(16, 32, 32),
    ]
    renewed = made.renewed()
    assert renewed.disk == made.disk
    assert len({made.key, made.token, made.signing_key}
               & {renewed.key, renewed.token, renewed.signing_key}) == 0  # fmt: skip


def test_what_is_signed_can_be_checked_with_the_public_key():
    made = Deployment.fresh()
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(made.public_key))
    key.verify(made.signed(b"content"), b"content")


def test_the_folder_is_its_owners_alone_even_if_it_was_there(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True, mode=0o755)
    (tmp_path / "a" / "b").chmod(0o755)
    with Journal(tmp_path / "a" / "b", NODE).held():
        assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / f"a/b/draft/{NODE}/lock").stat().st_mode & 0o777 == 0o600
    Journal(tmp_path / "c" / "d", NODE).write(record())
    assert (tmp_path / "c/d").stat().st_mode & 0o777 == 0o700


def test_it_is_let_go_whatever_ends_the_block(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyError), Journal(tmp_path, NODE).held():
            raise KeyError


def test_nothing_beyond_the_bound_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("bakery.conductor.journal.SIZE_LIMIT_BYTES", 100)
    Journal(tmp_path, NODE).write(record())
    with pytest.raises(BakeryError, match="cannot be used"):
        Journal(tmp_path, NODE).read()


def test_a_journal_can_be_read_by_a_person(tmp_path):
    journal = Journal(tmp_path, NODE)
    journal.write(record())
    assert b'\n  "state": "writing",\n' in journal.path.read_bytes()
    assert journal.path.read_bytes().endswith(b"}\n")


def test_who_holds_a_node_is_named_to_whoever_meets_him(tmp_path):
    journal = Journal(tmp_path, UUID(int=1))
    assert journal.holder() == ""
    with journal.held():
        here = f"process {os.getpid()} on "
        assert journal.holder().startswith(here)
        with pytest.raises(BakeryError, match=here), Journal(tmp_path, UUID(int=1)).held():
            pass
    assert journal.holder() == ""


def test_who_only_looks_keeps_nobody_from_a_node(tmp_path):
    journal = Journal(tmp_path, UUID(int=1))
    with journal.held():
        pass
    with (tmp_path / "draft" / str(UUID(int=1)) / "lock").open() as looked_at:
        fcntl.flock(looked_at, fcntl.LOCK_SH)
        threading.Timer(0.05, fcntl.flock, (looked_at, fcntl.LOCK_UN)).start()
        with journal.held():
            pass


def test_all_records_of_a_folder_are_found_and_nothing_else(tmp_path):
    assert all_in(tmp_path / "none") == []
    kept = record()
    Journal(tmp_path, kept.node).write(kept)
    (tmp_path / "other.json").write_text("{}")
    (tmp_path / "wire.jsonl").write_text("{}")
    assert all_in(tmp_path) == [(kept, "")]
