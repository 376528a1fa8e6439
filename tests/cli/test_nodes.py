"""`bakery nodes`: what is refused before a cloud is asked, and what of a node is shown."""

import json

import pytest

from bakery.openstack.ironic.records import NodeThere, PortThere
from tests.cli.inside import ask, document, numbers, refusal, told
from tests.cli.ironic import MemoryIronic, cloud_of


@pytest.fixture
def wrong(tmp_path):
    """A file of sixty nodes without a driver."""
    file = tmp_path / "nodes.json"
    file.write_text(json.dumps({"nodes": [{"name": f"n{i}"} for i in range(60)]}))
    return file


def test_all_that_is_wrong_is_told_within_bounds(bakery, wrong):
    done = bakery("nodes", "enroll", wrong)
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    assert lines[0] == f"{wrong}:1: nodes[0] (n0): driver: is missing"
    assert lines[50] == "… and 10 more"
    assert lines[51] == f"bakery: {wrong}: 60 problems, nothing was changed"


def test_all_that_is_wrong_is_one_document_for_a_program(bakery, wrong):
    document = json.loads(bakery("nodes", "enroll", wrong, "--json").stdout)
    assert document["error"].endswith("60 problems, nothing was changed")
    assert document["problems"][59] == {
        "node": "nodes[59] (n59)", "field": "driver", "message": "is missing", "line": 1
    }  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        ("enroll",), ("enroll", "x", "--concurrency", "0"), ("enroll", "x", "--concurrency", "999"),
        ("power", "n", "up"), ("show",), ("boot-device", "n"), ("unroll",),
        ("deploy", "n"), ("deploy", "n", "--image", "i", "--method", "iscsi"), ("undeploy",),
    ],
)  # fmt: skip
def test_what_means_nothing_is_wrong_usage(bakery, words):
    assert bakery("nodes", *words).returncode == 2


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((), "name the nodes, or have Ironic choose them"),
        (("n", "--resource-class", "c", "--name", "x"), "name the nodes, or have Ironic choose"),
        (("--resource-class", "c"), "--resource-class needs a --name"),
        (("n", "--trait", "CUSTOM_GPU"), "--trait, --count and --name need a --resource-class"),
        (("n", "--count", "2"), "--trait, --count and --name need a --resource-class"),
        (("n", "--name", "x"), "--trait, --count and --name need a --resource-class"),
    ],
)
def test_a_deploy_is_of_nodes_that_are_named_or_chosen(bakery, words, reason):
    done = bakery("nodes", "deploy", *words, "--image", "i")
    assert done.returncode == 2
    assert reason in done.stderr


@pytest.mark.parametrize(
    "words", [("list",), ("show", "n"), ("power", "n", "on"), ("deploy", "n", "--image", "i")]
)
def test_a_cloud_that_is_not_known_is_told(bakery, tmp_path, words):
    (tmp_path / "clouds.yaml").write_text("clouds: {}")
    where = {"OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml")}
    done = bakery("nodes", *words, "--cloud", "nix", env=where)
    assert done.returncode == 1
    assert "no cloud is called 'nix'" in done.stderr


def test_a_file_that_is_not_there_is_told(bakery, tmp_path):
    done = bakery("nodes", "enroll", tmp_path / "none.yaml")
    assert done.returncode == 1
    assert "cannot read" in done.stderr


@pytest.fixture
def ironic(monkeypatch):
    """One node that is on, and one of which little is known."""
    fields = {
        "uuid": "u-1", "name": "one", "driver": "ipmi", "provision_state": "active",
        "power_state": "power on", "maintenance": True, "last_error": "x" * 61,
        "resource_class": "large", "boot_interface": "ipxe", "bios_interface": None,
        "driver_info": {"ipmi_address": "10.0.0.1", "ipmi_password": "secret"},
        "properties": {"cpus": 4}, "extra": {}, "links": ["http://"], "owner": "",
    }  # fmt: skip
    cards = [
        PortThere(uuid="p-2", address="52:54:00:00:00:02", node_uuid="u-1", fields={"a": 2}),
        PortThere(uuid="p-1", address="52:54:00:00:00:01", node_uuid="u-1", fields={"a": 1}),
    ]
    made = MemoryIronic(
        NodeThere(uuid="u-1", name="one", fields=fields, traits=("B", "A")),
        NodeThere(uuid="u-0", fields={"provision_state": "enroll"}),
        ports=(*cards, PortThere(uuid="p-3", address="52:54:00:00:00:03", node_uuid="u-0")),
    )
    made.clouds = cloud_of(monkeypatch, made)
    return made


def test_nodes_are_listed_by_name_with_what_is_wrong_cut_short(ironic):
    lines = told("nodes", "list", "--cloud", "here").splitlines()
    assert ironic.clouds == ["here"]
    assert lines[1].split() == ["name", "uuid", "driver", "state", "power", "class", "note"]
    assert lines[3].split() == [
        *("one", "u-1", "ipmi", "active", "on", "large", "maintenance,", "x" * 60 + "…")
    ]
    assert lines[4].split() == ["u-0", "enroll"]
    ironic.change("one", last_error="x" * 60, maintenance=False)
    assert told("nodes", "list").splitlines()[3].split()[-1] == "x" * 60


def test_a_program_gets_all_of_a_node_but_links_and_passwords(ironic):
    one, other = document("nodes", "list")
    assert (one["name"], other) == ("one", {"provision_state": "enroll"})
    assert one["driver_info"] == {"ipmi_address": "10.0.0.1", "ipmi_password": "******"}
    assert "links" not in one


def test_a_cloud_without_nodes_is_said_to_have_none(monkeypatch):
    cloud_of(monkeypatch, MemoryIronic())
    assert told("nodes", "list") == "no nodes that you can see\n"
    assert document("nodes", "list") == []


def test_a_node_is_shown_with_what_it_has_alone(ironic):
    assert told("nodes", "show", "one", "--cloud", "here").splitlines() == [
        "uuid: u-1", "name: one", "driver: ipmi", "provision_state: active",
        "power_state: power on", "maintenance: True", "last_error: " + "x" * 61,
        "resource_class: large", "boot_interface: ipxe", "traits: A, B", "properties.cpus: 4",
        "driver_info.ipmi_address: 10.0.0.1", "driver_info.ipmi_password: ******",
        "port: 52:54:00:00:00:01 (p-1)", "port: 52:54:00:00:00:02 (p-2)",
    ]  # fmt: skip
    assert document("nodes", "show", "u-1")["ports"] == [{"a": 1}, {"a": 2}]
    assert told("nodes", "show", "u-0") == (
        "provision_state: enroll\nport: 52:54:00:00:00:03 (p-3)\n"
    )
    assert ironic.clouds == ["here", None, None]


@pytest.mark.parametrize(
    ("target", "asked", "state"),
    [
        ("on", "power on", "power on"),
        ("off", "power off", "power off"),
        ("reboot", "rebooting", "power on"),
    ],
)
def test_power_is_waited_for(ironic, target, asked, state):
    done = ask("nodes", "power", "one", target)
    assert ironic.asked == [(asked, "u-1")]
    assert done.stdout == f"one: {state}\n" and f"one: … {asked}" in done.stderr
    assert document("nodes", "power", "one", target)["power_state"] == state


@pytest.mark.parametrize(("error", "why"), [("no BMC", "no BMC"), ("", "Ironic gives no reason")])
def test_a_power_that_ends_otherwise_has_failed(ironic, monkeypatch, error, why):
    monkeypatch.setattr(ironic, "power", lambda *_: ironic.change("one", last_error=error))
    message = refusal("nodes", "power", "one", "off").message
    assert message == f"one: power off failed: {why}"


def test_a_power_that_is_under_way_is_waited_for_until_the_time_is_up(ironic, monkeypatch):
    seconds = iter(range(10**6))
    monkeypatch.setattr("time.monotonic", lambda: next(seconds))
    slept: list[float] = []
    monkeypatch.setattr("bakery.cli.nodes.time.sleep", slept.append)

    def begin(*_):
        ironic.change("one", target_power_state="power off", power_state="power off")

    monkeypatch.setattr(ironic, "power", begin)
    error = refusal("nodes", "power", "one", "off", "--timeout", "10")
    assert error.message == "one: power off timed out" and "--timeout" in error.hint
    assert 5 < len(slept) <= 10 and set(slept) == {0.5}


def test_the_numbers_are_bounded():
    assert numbers("nodes", "power") == {"--timeout": (1, 86400, 120.0)}


@pytest.mark.parametrize(
    ("words", "persistent", "when"), [((), False, "next time"), (("--persistent",), True, "every")]
)
def test_a_boot_device_is_for_the_next_time_or_for_ever(ironic, words, persistent, when):
    said = told("nodes", "boot-device", "one", "disk", *words)
    assert said.startswith(f"one: boots from disk {when}")
    assert ironic.asked == [("boot", "u-1", "disk", persistent)]
    assert document("nodes", "boot-device", "one", "disk", *words) == {
        "uuid": "u-1", "boot_device": "disk", "persistent": persistent
    }  # fmt: skip


def test_a_device_that_the_node_has_not_is_refused(ironic):
    error = refusal("nodes", "boot-device", "one", "dsik")
    assert error.message == "one cannot boot from 'dsik'" and "disk" in error.hint
    assert ironic.asked == []
