"""`bakery nodes deploy` and its kin: what Ironic is asked, in which order, and what is told."""

from types import SimpleNamespace

import msgspec
import pytest

from bakery.openstack.ironic.allocations import AllocationRequest
from bakery.openstack.ironic.deploy import Sent
from bakery.openstack.ironic.records import NodeThere
from tests.cli.inside import ask, document, numbers, told
from tests.cli.ironic import MemoryIronic

IMAGE = SimpleNamespace(base=SimpleNamespace(name="tiny", id="i-1"))


class Deploys:
    """Notes what it was made of and asked; `problem` speaks against a node."""

    problem = ""

    def __init__(self, _ironic, image, method, drive, _glimpse):
        self.made = (image, method, drive)
        self.asked = []

    def problems(self, node):
        return ["too small"] if node.name == self.problem else []

    def check(self, nodes):
        self.asked.append(("check", [node.label for node in nodes]))

    def cautions(self, _nodes):
        return ["mind the disk"]

    def take_back(self, _report, seconds):
        self.asked.append(("take back", seconds))
        return [Sent("one", "u-1", "available"), Sent("two", "u-2", "error", "stuck")]


@pytest.fixture
def cloud(monkeypatch):
    """A cloud of two nodes; `ends` is what a deploy comes to, an exception or how each ended."""
    made = SimpleNamespace(deploys=None, calls=[], clouds=[], ends=list)
    nodes = [NodeThere(uuid=f"u-{n}", name=name) for n, name in ((1, "one"), (2, "two"))]
    ironic = MemoryIronic(*nodes)

    def deploys(*words):
        made.deploys = Deploys(*words)
        return made.deploys

    def deploy(_deploys, chosen, _report, seconds):
        made.calls.append(("deploy", [node.label for node in chosen], seconds))
        return made.ends()

    def undeploy(_ironic, chosen, _report, seconds):
        made.calls.append(("undeploy", [node.label for node in chosen], seconds))
        return made.ends()

    def allocated(_ironic, request, usable, _report, seconds):
        made.calls.append(("allocate", request, [n.name for n in nodes if usable(n)], seconds))
        return nodes[:1]

    class Door:
        def __new__(cls, _connection):
            return ironic

        @staticmethod
        def of_cloud(_cloud):
            return ironic

    where = "bakery.openstack"
    monkeypatch.setattr(f"{where}.connection.connect", made.clouds.append)
    monkeypatch.setattr(f"{where}.glance.images.Images", lambda connection: connection)
    monkeypatch.setattr(f"{where}.glance.find.published", lambda _images, _name: IMAGE)
    monkeypatch.setattr(f"{where}.ironic.client.Ironic", Door)
    monkeypatch.setattr(f"{where}.ironic.validate.method_of", lambda _image, m: m or "direct")
    monkeypatch.setattr(f"{where}.ironic.validate.glimpse", lambda *_: None)
    monkeypatch.setattr(f"{where}.ironic.deploy.Deploys", deploys)
    monkeypatch.setattr(f"{where}.ironic.deploy.deploy", deploy)
    monkeypatch.setattr(f"{where}.ironic.deploy.undeploy", undeploy)
    monkeypatch.setattr(f"{where}.ironic.allocations.allocated", allocated)
    made.ironic = ironic
    return made


def test_the_numbers_are_bounded():
    assert numbers("nodes", "deploy") == {
        "--count": (1, 1000, 1),
        "--timeout": (1, 7 * 86400, 3600.0),
    }
    assert numbers("nodes", "undeploy") == {"--timeout": (1, 7 * 86400, 3600.0)}


def test_all_nodes_are_checked_before_the_first_is_touched_and_each_once(cloud):
    cloud.ends = lambda: [Sent("one", "u-1", "active"), Sent("two", "u-2", "active")]
    words = ("one", "u-2", "u-1", "--image", "tiny", "--cloud", "here", "--timeout", "60")
    done = ask("nodes", "deploy", *words)
    assert (done.return_value, done.stdout) == (0, "one: active\ntwo: active\n")
    assert cloud.deploys.asked == [("check", ["one", "two"])]
    assert cloud.calls == [("deploy", ["one", "two"], 60.0)]
    assert cloud.clouds == ["here"] and cloud.deploys.made == (IMAGE, "direct", "")
    assert "tiny (i-1) by the deploy interface direct" in done.stderr
    assert "mind the disk" in done.stderr


def test_a_node_that_failed_is_told_with_its_reason(cloud):
    ends = [Sent("one", "u-1", "active"), Sent("two", "u-2", "deploy failed", "no disk")]
    cloud.ends = lambda: ends
    done = ask("nodes", "deploy", "one", "two", "--image", "tiny", "--method", "ramdisk")
    assert done.return_value == 1
    assert done.stdout.splitlines()[1] == "two: deploy failed: no disk"
    assert cloud.deploys.made[1] == "ramdisk"
    told_to_a_program = document("nodes", "deploy", "one", "two", "--image", "tiny")
    assert told_to_a_program == msgspec.to_builtins(ends)


def test_a_config_drive_goes_along(cloud, tmp_path):
    (tmp_path / "drive").write_bytes(b"drive")
    told("nodes", "deploy", "one", "--image", "tiny", "--config-drive", tmp_path / "drive")
    assert cloud.deploys.made[2]


def test_nodes_can_be_chosen_by_ironic_of_those_that_can_take_the_image(cloud, monkeypatch):
    monkeypatch.setattr(Deploys, "problem", "two")
    words = ("--resource-class", "large", "--name", "mine", "--trait", "A", "--trait", "B")
    told("nodes", "deploy", "--image", "tiny", *words, "--count", "2")
    kind, request, usable, seconds = cloud.calls[0]
    assert (kind, usable, seconds) == ("allocate", ["one"], 3600.0)
    assert request == AllocationRequest("mine", "large", ("A", "B"), 2)
    assert cloud.calls[1] == ("deploy", ["one"], 3600.0)


def test_one_that_was_interrupted_goes_on_in_ironic(cloud):
    cloud.ends = interrupted
    done = ask("nodes", "deploy", "one", "--image", "tiny")
    assert done.exit_code != 0
    assert "Ironic carries on; to undo: bakery nodes undeploy" in done.stderr
    assert ("take back", 3600.0) not in cloud.deploys.asked


def test_one_that_was_interrupted_is_undone_on_request(cloud):
    cloud.ends = interrupted
    done = ask("nodes", "deploy", "one", "--image", "tiny", "--undo")
    assert done.exit_code != 0
    assert cloud.deploys.asked[-1] == ("take back", 3600.0)
    assert "one: undone" in done.stderr and "two: stuck" in done.stderr
    assert "carries on" not in done.stderr


def interrupted():
    raise KeyboardInterrupt


def test_an_undeploy_is_of_each_node_once(cloud):
    cloud.ends = lambda: [Sent("one", "u-1", "available")]
    assert told("nodes", "undeploy", "one", "u-1", "--timeout", "9") == "one: available\n"
    assert cloud.calls == [("undeploy", ["one"], 9.0)]


def test_arguments_are_set_where_a_node_has_others(cloud, monkeypatch):
    monkeypatch.setattr(
        "bakery.openstack.ironic.deploy.give_arguments", lambda _i, _p, node: node.name == "one"
    )
    words = ("nodes", "apply-image-args", "one", "two", "--image", "tiny")
    assert told(*words) == "one: set\ntwo: already set\n"
    assert document(*words) == [
        {"name": "one", "changed": True},
        {"name": "two", "changed": False},
    ]


@pytest.mark.parametrize("words", [("apply-image-args", "--image", "i"), ("apply-image-args", "n")])
def test_a_node_and_an_image_have_to_be_named(words):
    assert ask("nodes", *words).exit_code != 0
