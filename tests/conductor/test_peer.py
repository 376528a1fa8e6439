"""Who is believed to be a node, and what is handed out to whom, how often."""

import pytest

from bakery.conductor.journal import AgentInfo, Deployment
from bakery.conductor.peer import SPENT, STRANGER, Peer, Refused
from bakery.netboot.tree import Asker
from tests.conductor.peers import peer_at, record

HERE, THERE = "192.0.2.7", "192.0.2.9"
NODE, STRANGE = Asker(HERE), Asker(THERE)


def status(peer: Peer, asker: Asker, key: str | None = None) -> int:
    try:
        peer.check(asker, key)
    except Refused as refused:
        return refused.status
    return 200


def test_a_node_is_the_leased_address_with_the_token_and_the_key_of_this_try():
    deployment = Deployment.fresh()
    peer = peer_at(HERE, deployment)
    knows = Asker(HERE, deployment.token)
    assert status(peer, knows) == 200
    assert status(peer, knows, deployment.key) == 200
    assert status(peer, knows, Deployment.fresh().key) == 400
    assert status(peer, knows, "") == 400
    assert status(peer, Asker(HERE, Deployment.fresh().token)) == 401
    assert status(peer, NODE) == 401


def test_all_secrets_of_a_node_do_not_make_another_address_the_node():
    deployment = Deployment.fresh()
    peer = peer_at(HERE, deployment)
    for address in (THERE, "", f"::ffff:{HERE}", f"{HERE}%x"):
        assert status(peer, Asker(address, deployment.token), deployment.key) == 403


def test_before_the_node_has_a_lease_nobody_is_it():
    deployment = Deployment.fresh()
    peer = peer_at("", deployment)
    assert status(peer, Asker("", deployment.token)) == 403


def test_before_there_is_a_try_nobody_knows_its_secrets():
    assert status(Peer(lambda asked: asked == HERE), Asker(HERE, "")) == 401


def test_the_secrets_of_the_last_try_are_worth_nothing_in_this_one():
    old, new = Deployment.fresh(), Deployment.fresh()
    peer = peer_at(HERE, old)
    peer.follow(record(new))
    assert status(peer, Asker(HERE, old.token)) == 401
    assert status(peer, Asker(HERE, new.token), new.key) == 200


def test_an_agent_that_has_reported_keeps_its_address_whatever_becomes_of_the_lease():
    deployment, leased = Deployment.fresh(), [HERE]
    peer = Peer(lambda asked: asked == leased[0])
    peer.follow(record(deployment, AgentInfo(HERE, "")))
    leased[0] = ""
    assert status(peer, Asker(HERE, deployment.token)) == 200
    assert status(peer, Asker(THERE, deployment.token)) == 403


def test_a_token_is_handed_out_once_for_each_start():
    peer = peer_at(HERE, Deployment.fresh())
    for _ in range(2):
        # Who asks and does not take it, as one with a made-up source, spends nothing.
        assert [peer.token(STRANGE), peer.token(NODE), peer.token(NODE)] == [STRANGER, "", ""]
        peer.token_taken()
        assert [peer.token(STRANGE), peer.token(NODE)] == [STRANGER, SPENT]
        peer.starts()


def test_when_the_agent_has_reported_token_and_key_are_handed_out_no_more():
    deployment = Deployment.fresh()
    peer = peer_at(HERE, deployment)
    assert peer.text(NODE) == ""
    peer.follow(record(deployment, AgentInfo(HERE, "")))
    assert (peer.text(NODE), peer.token(NODE)) == (SPENT, SPENT)
    peer.starts()  # by itself, in the middle: it needs them again, and is the same
    assert (peer.text(NODE), peer.token(NODE)) == ("", "")
    peer.follow(record(deployment, AgentInfo(HERE, "")))  # of what it told before
    assert peer.text(NODE) == ""
    peer.reported()
    assert (peer.text(NODE), peer.token(NODE)) == (SPENT, SPENT)


def test_another_try_hands_out_its_own_secrets():
    peer = peer_at(HERE, Deployment.fresh())
    peer.token_taken()
    assert peer.token(NODE) == SPENT
    peer.follow(record(Deployment.fresh()))
    assert peer.token(NODE) == ""


@pytest.mark.parametrize("asker", [STRANGE, NODE, Asker(THERE, "token"), Asker(HERE, "x")])
def test_frames_are_for_the_node_that_shows_its_token(asker):
    deployment = Deployment.fresh()
    assert peer_at(HERE, deployment).frames(asker)
    assert peer_at(HERE, deployment).frames(Asker(HERE, deployment.token)) == ""
