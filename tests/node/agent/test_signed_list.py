"""Which lists a node takes: signed, for it and its disk, not too old."""

import time
from typing import Any

import msgspec
import pytest

from bakery.conductor import write_list
from bakery.conductor.journal import Deployment
from bakery.node.agent import signed_list
from bakery.node.agent.errors import AgentError
from bakery.node.agent.signed_list import Here
from tests.node.agent.served import Served

HERE = Here("node-1", 1 << 30, serial=7)
OWNER = Deployment.fresh()


@pytest.fixture
def pieces(tmp_path) -> list[dict[str, Any]]:
    return Served(tmp_path).pieces(0, "http://192.0.2.1")


def read(pieces, here: Here = HERE, **terms: object):
    good = {"build": "k1", "serial": 7, "expires": int(time.time()) + 60}
    made = msgspec.convert(good | terms, write_list.Terms)
    content = write_list.signed(pieces, made, OWNER.signed)
    return signed_list.read(content, bytes.fromhex(OWNER.public_key), here)


@pytest.mark.parametrize(
    "terms", [{}, {"node": "node-1", "disk_bytes": 1 << 30}, {"serial": 8}, {"node": "node-1"}]
)
def test_a_list_for_this_node_is_taken(pieces, terms):
    assert read(pieces, **terms).count


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"node": "node-2"}, "for another node"),
        ({"disk_bytes": (1 << 30) + 512}, "for a disk of"),
        ({"serial": 6}, "an old one: serial 6, not 7"),
        ({"expires": int(time.time()) - 1}, "has expired"),
        ({"encrypted_to": "ab" * 32}, "not encrypted to this node"),
    ],
)
def test_a_list_that_is_another_s_or_old_is_refused_though_it_is_signed(pieces, terms, reason):
    with pytest.raises(AgentError, match=reason):
        read(pieces, **terms)


def test_a_list_that_came_encrypted_is_to_be_encrypted_to_this_node(pieces):
    here = HERE._replace(encrypted_to="ab" * 32)
    assert read(pieces, here, encrypted_to="ab" * 32).count
    for other in ("", "ba" * 32):
        with pytest.raises(AgentError, match="not encrypted to this node"):
            read(pieces, here, encrypted_to=other)


@pytest.mark.parametrize("name", ["serial", "node", "disk_bytes", "expires", "encrypted_to"])
def test_a_list_that_does_not_say_it_is_refused(pieces, name):
    told = {"version": 3, "build": "k1", "serial": 7, "node": "", "disk_bytes": 0}
    told |= {"expires": 1 << 40, "encrypted_to": "", "pieces": pieces}
    for change in ({}, {name: "7.0"}, {name: None}, {name: True}):
        listed = {key: value for key, value in told.items() if key != name} | change
        content = msgspec.json.encode(listed)
        with pytest.raises(AgentError):
            signed_list.read(
                OWNER.signed(content).hex().encode() + b"\n" + content,
                bytes.fromhex(OWNER.public_key),
                HERE,
            )
