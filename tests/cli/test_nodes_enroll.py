"""`bakery nodes enroll`: what is told of each node, and how far the nodes are taken."""

import json

import pytest

from bakery.openstack.ironic.records import NodeThere, PortThere
from tests.cli.inside import ask, document, numbers, told
from tests.cli.ironic import MemoryIronic, cloud_of

SAME = {"name": "same", "driver": "ipmi", "properties": {"cpus": 4}}


def node(name, **more):
    return {"name": name, "driver": "ipmi"} | more


@pytest.fixture
def ironic(monkeypatch):
    """It has two nodes: one as the file wants it, and one whose cpus are others."""
    old = {"name": "old", "driver": "ipmi", "properties": {"cpus": 2}}
    made = MemoryIronic(
        NodeThere(uuid="uuid-same", name="same", fields=SAME | {"provision_state": "manageable"}),
        NodeThere(uuid="uuid-old", name="old", fields=old | {"provision_state": "enroll"}),
    )
    made.clouds = cloud_of(monkeypatch, made)
    return made


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "nodes.json"
    nodes = [node("new"), SAME, node("old", properties={"cpus": 4, "memory_mb": 1})]
    path.write_text(json.dumps({"nodes": nodes}))
    return path


def test_the_numbers_are_bounded():
    assert numbers("nodes", "enroll") == {
        "--concurrency": (1, 64, 8),
        "--timeout": (1, 7 * 86400, 3600.0),
    }


def test_what_changes_is_told_each_on_its_line_and_counted(ironic, file):
    lines = told("nodes", "enroll", file, "--cloud", "here").splitlines()
    assert lines == [
        "new: created",
        "old: updated: properties.cpus 2 → 4; properties.memory_mb 1",
        "1 created, 1 updated, 1 unchanged",
    ]
    assert ironic.clouds == ["here"] and ironic.workers == 8
    assert ("create", "new") in ironic.asked and ironic.asked[-1][:2] == ("patch", "uuid-old")


def test_a_person_who_wants_all_is_told_what_stays_too(ironic, file):
    done = ask("nodes", "enroll", file, "-v")
    assert "same: unchanged" in done.stdout.splitlines()
    assert "compare: done 3 nodes" in done.stderr
    assert "enroll: done 1 created, 1 updated, 1 unchanged" in done.stderr


def test_a_program_is_told_of_each_node(ironic, file):
    answer = document("nodes", "enroll", file, "--concurrency", "1")
    assert ironic.workers == 1
    assert [(n["name"], n["action"], n["error"]) for n in answer["nodes"]] == [
        ("new", "created", ""),
        ("same", "unchanged", ""),
        ("old", "updated", ""),
    ]


def test_a_dry_run_tells_what_would_be_and_changes_nothing(ironic, file):
    lines = told("nodes", "enroll", file, "--dry-run").splitlines()
    assert lines == [
        "new: would be created",
        "old: would change: properties.cpus 2 → 4; properties.memory_mb 1",
        "1 to create, 1 to update, 1 unchanged",
    ]
    assert "same: would not change" in told("nodes", "enroll", file, "--dry-run", "-v")
    answer = document("nodes", "enroll", file, "--dry-run")
    assert answer["dry_run"] is True
    assert [(n["name"], n["uuid"], n["action"]) for n in answer["nodes"]] == [
        ("new", "", "create"),
        ("same", "uuid-same", "none"),
        ("old", "uuid-old", "update"),
    ]
    assert ironic.asked == []


def test_a_value_that_is_not_for_showing_is_named_alone(ironic, tmp_path):
    secret = {"ipmi_password": "geheim12"}
    (tmp_path / "n.json").write_text(json.dumps({"nodes": [node("old", driver_info=secret)]}))
    assert told("nodes", "enroll", tmp_path / "n.json").splitlines()[0] == (
        "old: updated: driver_info.ipmi_password"
    )


@pytest.mark.parametrize("send", [True, False])
def test_passwords_are_sent_to_a_node_that_has_one_on_request_alone(ironic, tmp_path, send):
    secret = {"ipmi_password": "geheim12"}
    (tmp_path / "n.json").write_text(json.dumps({"nodes": [node("old", driver_info=secret)]}))
    ironic.change("old", driver_info={"ipmi_password": "******"})
    told("nodes", "enroll", tmp_path / "n.json", *(["--send-secrets"] if send else []))
    assert bool(ironic.asked) == send


def test_a_node_that_fails_is_told_and_keeps_no_other(ironic, file):
    ironic.failing = {"new"}
    done = ask("nodes", "enroll", file)
    assert done.return_value == 1
    assert done.stderr.splitlines()[-2:] == [
        "bakery: new: no room for new",
        "bakery: 1 of 3 nodes failed",
    ]
    assert done.stdout.splitlines()[-1] == "1 updated, 1 unchanged, 1 failed"
    assert not any(line.startswith("new:") for line in done.stdout.splitlines())


def test_what_this_cloud_would_refuse_is_told_before_anything_is_changed(ironic, tmp_path):
    (tmp_path / "n.json").write_text(json.dumps({"nodes": [node("new", driver="ipmi")] * 2}))
    done = ask("nodes", "enroll", tmp_path / "n.json")
    assert done.return_value == 1 and ironic.clouds == []
    mac = [{"address": "52:54:00:12:34:56"}]
    ironic.cards.append(PortThere(uuid="p", address=mac[0]["address"], node_uuid="uuid-same"))
    (tmp_path / "n.json").write_text(json.dumps({"nodes": [node("new", ports=mac)]}))
    done = ask("nodes", "enroll", tmp_path / "n.json")
    assert done.return_value == 1
    assert done.stderr.splitlines()[-1].endswith("n.json: 1 problem, nothing was changed")
    assert "more" not in done.stderr and ironic.asked == []


def test_fifty_problems_are_shown_and_the_rest_counted(tmp_path):
    (tmp_path / "n.json").write_text(json.dumps({"nodes": [{"name": f"n{i}"} for i in range(50)]}))
    done = ask("nodes", "enroll", tmp_path / "n.json")
    assert len(done.stderr.splitlines()) == 51 and "more" not in done.stderr
    assert done.return_value == 1
    (tmp_path / "n.json").write_text(json.dumps({"nodes": [{"name": f"n{i}"} for i in range(51)]}))
    assert ask("nodes", "enroll", tmp_path / "n.json").stderr.splitlines()[50] == "… and 1 more"


def test_drivers_that_may_not_be_listed_are_said_to_be_unchecked(ironic, file):
    assert "are not checked" not in ask("nodes", "enroll", file).stderr
    ironic.lists_drivers = False
    assert "drivers and interfaces are not checked" in ask("nodes", "enroll", file).stderr


@pytest.mark.parametrize(
    ("words", "verbs", "state"),
    [
        ((), [], ""),
        (("--manage",), ["manage", "manage"], "manageable"),
        (("--provide",), ["manage", "manage", "provide", "provide", "provide"], "available"),
    ],
)
def test_nodes_are_taken_as_far_as_it_is_asked(ironic, file, words, verbs, state):
    answer = document("nodes", "enroll", file, *words)
    assert sorted(ask[0] for ask in ironic.asked if ask[0] in ("manage", "provide")) == verbs
    assert {node["provision_state"] for node in answer["nodes"]} == {state}


def test_the_way_of_the_nodes_is_a_step_that_tells_where_they_are(ironic, file):
    done = ask("nodes", "enroll", file, "--provide", "--manage")
    assert "provision: … manage, provide" in done.stderr
    assert "provision: done 3 available" in done.stderr


def test_a_node_that_was_not_enrolled_goes_nowhere_and_keeps_its_reason(ironic, file):
    ironic.failing = {"new"}
    by_name = {n["name"]: n for n in document("nodes", "enroll", file, "--manage")["nodes"]}
    assert by_name["new"]["error"] == "no room for new"
    assert by_name["new"]["provision_state"] == ""
    assert by_name["old"]["provision_state"] == "manageable"


def test_a_node_that_comes_no_further_fails(ironic, file, monkeypatch):
    ironic.change("same", inspection_finished_at=None)

    def refuses(uuid, verb):
        ironic.change(uuid, provision_state="inspect failed" if verb == "inspect" else "manageable")

    monkeypatch.setattr(ironic, "provision", refuses)
    done = ask("nodes", "enroll", file, "--inspect")
    assert done.return_value == 1
    assert "bakery: 3 of 3 nodes failed" in done.stderr and "inspect" in done.stderr
    assert done.stdout == "1 created, 1 updated, 1 unchanged\n"


def test_a_file_of_no_nodes_is_said_to_have_none(ironic, tmp_path):
    (tmp_path / "n.json").write_text('{"nodes": []}')
    assert "no nodes" in ask("nodes", "enroll", tmp_path / "n.json").output


def test_a_password_that_lies_elsewhere_is_what_the_cloud_gets(ironic, tmp_path, monkeypatch):
    (tmp_path / "secret").write_text("geheim-1\n")
    (tmp_path / "secret").chmod(0o600)
    monkeypatch.setenv("RACK_USER", "admin")
    info = {"ipmi_username": "${RACK_USER}", "password_file": "secret"}
    (tmp_path / "n.json").write_text(json.dumps({"nodes": [node("new", driver_info=info)]}))
    done = ask("nodes", "enroll", tmp_path / "n.json", "--json")
    assert done.return_value == 0 and "geheim" not in done.output
    (made,) = (found for found in ironic.nodes() if found.name == "new")
    assert made.fields["driver_info"] == {"ipmi_username": "admin", "ipmi_password": "geheim-1"}


def test_a_password_that_is_not_there_is_told_with_its_line_before_the_cloud_is_asked(
    ironic, tmp_path
):
    info = {"password_file": "secret"}
    (tmp_path / "n.json").write_text(json.dumps({"nodes": [node("new", driver_info=info)]}))
    done = ask("nodes", "enroll", tmp_path / "n.json")
    assert done.return_value == 1 and ironic.asked == []
    assert "n.json:1: nodes[0] (new): driver_info.password_file: " in done.stderr
