"""A node's file: whole, private, held by one, and told when it cannot be read."""

from uuid import UUID

import pytest

from bakery.deploy.journal import AgentInfo, Deployment, Journal, Record, Visit
from bakery.errors import BakeryError

NODE = UUID("6a3c9a3e-4b5f-4c39-9d5b-0f6a2b1c7d11")


def record():
    return Record(
        node=NODE,
        name="node-1",
        build="k1",
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
    journal.path.write_bytes(journal.path.read_bytes().replace(b'"version": 1', b'"version": 2'))
    with pytest.raises(BakeryError, match="version 2"):
        journal.read()
