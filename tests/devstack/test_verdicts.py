import json

import pytest

from bakery.devstack import verdicts
from bakery.devstack.steps import Answer, Seen


def of(*values):
    return [Answer(0, json.dumps(value)) for value in values]


def test_every_command_has_to_end_well():
    assert verdicts.ended_well([]).state == "done"
    assert verdicts.ended_well([Answer(0, ""), Answer(0, "")]).state == "done"
    assert verdicts.ended_well([Answer(0, ""), Answer(1, "")]).state == "open"
    assert verdicts.ended_well([Answer(1, ""), Answer(0, "")]).state == "open"


def test_nodes_are_counted():
    judge = verdicts.nodes_listed(2)
    assert judge(of([1])) == Seen("open", "1 of 2 nodes")
    assert judge(of([1, 2])) == Seen("done", "2 of 2 nodes")
    assert judge(of([1, 2, 3])) == Seen("done", "3 of 2 nodes")
    assert judge(of({"a": 1, "b": 2})) == Seen("open", "0 of 2 nodes")


@pytest.mark.parametrize(
    ("value", "state"),
    [
        ({"status": "active", "bakery_key": "k"}, "done"),
        ({"status": "active", "bakery_key": "x", "properties": {"bakery_key": "k"}}, "done"),
        ({"status": "saving", "bakery_key": "k"}, "open"),
        ({"status": "active", "properties": "bakery_key='k'"}, "open"),
        ({"status": "active"}, "open"),
        (None, "open"),
    ],
)
def test_an_image_is_the_builds_where_key_and_status_say_so(value, state):
    assert verdicts.image_active("k")(of(value)).state == state


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ([{"instance_info": {"k": "v"}}], "done"),
        ([{"instance_info": {"k": "v"}}, {"instance_info": {"k": "w"}}], "open"),
        ([{"instance_info": {"k": "w"}}, {"instance_info": {"k": "v"}}], "open"),
        ([{"instance_info": {}}], "open"),
        ([{"instance_info": ["k"]}], "open"),
        ([{}], "open"),
        ([[]], "open"),
    ],
)
def test_every_node_has_its_arguments(values, state):
    assert verdicts.arguments_set("k", "v")(of(*values)).state == state


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (
            {"status": "ACTIVE", "addresses": {"a": [], "b": ["fd00::1", "10.0.0.1", "10.0.0.2"]}},
            Seen("done", "10.0.0.1", {"address": "10.0.0.1"}),
        ),
        (
            {"status": "ACTIVE", "addresses": "a=fd00::1,10.0.0.1;b=10.0.0.2"},
            Seen("done", "10.0.0.1", {"address": "10.0.0.1"}),
        ),
        ({"status": "ACTIVE"}, Seen("failed", "the server has no address: None")),
        (
            {"status": "ACTIVE", "addresses": {"a": 7}},
            Seen("failed", "the server has no address: {'a': 7}"),
        ),
        ({"status": "ERROR"}, Seen("failed", "Nova says: ERROR")),
        ({"status": "ERROR", "fault": "no host"}, Seen("failed", "Nova says: no host")),
        ({"status": "ERROR", "fault": {"message": "m"}}, Seen("failed", "Nova says: m")),
        ({"status": "ERROR", "fault": {}}, Seen("failed", "Nova says: ERROR")),
        ({"status": "BUILD"}, Seen("busy", "BUILD")),
        ("no", Seen("open")),
    ],
)
def test_a_server_is_read(value, seen):
    assert verdicts.server_active(of(value)) == seen
