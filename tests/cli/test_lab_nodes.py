"""`bakery lab up`, `status` and `down` on the command line, with a lab that is only told of."""

from types import SimpleNamespace

import msgspec
import pytest

from bakery.lab.keeper import Settings
from tests.cli.inside import ask, document, numbers, told
from tests.cli.test_deploy import LAB


@pytest.fixture
def asked(monkeypatch):
    """What was asked of the lab's keeper; `there` is whether one is up."""

    made = SimpleNamespace(ups=[], downs=[], there=True)
    monkeypatch.setenv("BAKERY_LAB", "/where/the/variable/says")
    monkeypatch.setattr("bakery.host.kvm.acceleration", lambda: "tcg")
    monkeypatch.setattr("bakery.lab.state.load", lambda folder: made.ups.append(folder) or LAB)

    def up(folder, settings):
        made.ups.append((folder, settings))
        return LAB

    def down(folder):
        made.downs.append(str(folder))
        return made.there

    monkeypatch.setattr("bakery.lab.control.up", up)
    monkeypatch.setattr("bakery.lab.control.down", down)
    return made


def test_the_numbers_are_bounded():
    assert numbers("lab", "up") == {
        "--nodes": (1, 64, 1),
        "--memory": (128, 1 << 20, 2048),
        "--cpus": (1, 64, 1),
    }


def test_a_lab_is_of_what_the_options_say_in_its_folder(asked, tmp_path):
    done = ask("lab", "up")
    assert done.stdout.startswith("node-1: off, boots from disk")
    assert "lab: … 1 bios nodes" in done.stderr and "lab: done up at 192.0.2.1/24" in done.stderr
    words = ("--nodes", "3", "--firmware", "uefi", "--nic", "e1000", "--disk", "3G")
    more = ("--memory", "512", "--cpus", "2", "--address", "10.9.0.1/16", "--lab", tmp_path / "x")
    ask("lab", "up", *words, *more)
    (first, usual), (second, other) = asked.ups
    assert (str(first), second) == ("/where/the/variable/says", tmp_path / "x")
    assert usual == Settings(1, "bios", "virtio", 10 << 30, 2048, "192.168.77.1/24", "tcg")
    assert other == Settings(3, "uefi", "e1000", 3 << 30, 512, "10.9.0.1/16", "tcg", cpus=2)


def test_a_folder_is_meant_from_here(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told("lab", "down", "--lab", "here")
    assert asked.downs == [str(tmp_path / "here")]


def test_each_node_is_told_with_its_bmc_and_console_and_what_ended_it(asked, monkeypatch):
    node = msgspec.structs.replace(LAB.nodes[1], state="on", fault="qemu was killed")
    lab = msgspec.structs.replace(LAB, nodes=(LAB.nodes[0], node))
    monkeypatch.setattr("bakery.lab.state.load", lambda _folder: lab)
    assert told("lab", "status", "--show-secrets").splitlines() == [
        "node-1: off, boots from disk, 52:54:00:4c:00:01",
        "  bmc      127.0.0.1 port 623, admin / secret",
        "  console  /console",
        "node-2: on, boots from disk, 52:54:00:4c:00:02",
        "  bmc      127.0.0.1 port 623, admin / secret",
        "  console  /console",
        "  fault    qemu was killed",
    ]
    assert [node["name"] for node in document("lab", "status")["nodes"]] == ["node-1", "node-2"]


@pytest.mark.parametrize("command", ["up", "status"])
def test_passwords_are_shown_on_request_alone(asked, command):
    for ask_for in (ask("lab", command).stdout, ask("lab", command, "--json").stdout):
        assert "secret" not in ask_for and "admin" in ask_for
    for words in (("--show-secrets",), ("--show-secrets", "--json")):
        assert "secret" in ask("lab", command, *words).stdout


def test_whether_there_was_a_lab_is_told(asked):
    assert told("lab", "down") == "the lab is down\n"
    asked.there = False
    assert told("lab", "down") == "no lab is up in /where/the/variable/says\n"
    assert document("lab", "down") == {"lab": "/where/the/variable/says", "found": False}
