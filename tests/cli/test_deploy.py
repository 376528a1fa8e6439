"""`bakery deploy` on the command line: what is refused, or asked, before anything is started."""

import json
import re
import shutil
from ipaddress import IPv4Interface
from types import SimpleNamespace
from uuid import UUID

import pytest
from click.testing import CliRunner

from bakery.cli.deploy import command, somebody_is_here
from bakery.conductor import interface
from bakery.conductor.journal import Deployment, Journal, Record, Visit
from bakery.conductor.messages import Network, Request, Result
from bakery.conductor.wanted import Wanted
from bakery.host.errors import BakeryError
from bakery.lab.state import BmcAccess, Lab, Node
from tests.cli.inside import numbers
from tests.conductor import builds


def test_without_a_lab_it_says_how_to_bring_one_up(bakery, tmp_path):
    (tmp_path / "build").mkdir()
    done = bakery("deploy", "node-1", "--image", tmp_path / "build", "--lab", tmp_path / "lab")
    assert done.returncode == 1
    assert f"no lab is up in {tmp_path / 'lab'}" in done.stderr
    assert "bakery lab up" in done.stderr


def test_the_same_is_told_to_a_program(bakery, tmp_path):
    words = ("--image", tmp_path, "--lab", tmp_path / "lab", "--json")
    done = bakery("deploy", "node-1", *words)
    assert json.loads(done.stdout)["hint"] == "bakery lab up"


def test_a_node_and_an_image_are_needed(bakery, tmp_path):
    assert bakery("deploy", "--image", tmp_path).returncode == 2
    assert bakery("deploy", "node-1").returncode == 2


def test_a_method_nobody_has_is_wrong_usage(bakery, tmp_path):
    done = bakery("deploy", "node-1", "--image", tmp_path, "--method", "magic")
    assert done.returncode == 2
    assert "'magic' is not one of 'iscsi', 'direct'" in done.stderr


@pytest.fixture
def there(tmp_path, monkeypatch):
    """A lab of two nodes that are on, and what a conductor was asked to do instead of doing it."""
    requests: list[Request] = []
    monkeypatch.setattr("bakery.lab.state.load", lambda _folder: LAB)
    monkeypatch.setattr("bakery.bmc.ipmi.Bmc.power", lambda _bmc: "on")
    monkeypatch.setattr("bakery.conductor.launch.deploy_ramdisk", lambda *_: tmp_path)

    def run(request, _enter, _report):
        requests.append(request)
        return tuple(
            Result(node.name, node.uuid, "running", "", 1, (Visit("running", 0.0),))
            for node in request.nodes
        )

    monkeypatch.setattr("bakery.conductor.launch.run", run)
    builds.build(tmp_path / "build")
    return requests


LAB = Lab(
    folder="/lab",
    address="192.0.2.1/24",
    interface="lo",
    keeper_pid=1,
    user_namespace=False,
    acceleration="tcg",
    nodes=tuple(
        Node(
            name=f"node-{number}",
            uuid=str(UUID(int=number)),
            mac=f"52:54:00:4c:00:0{number}",
            firmware="bios",
            nic="virtio",
            disk="/disk",
            disk_bytes=1,
            bmc=BmcAccess("127.0.0.1", 623, "admin", "secret"),
            console="/console",
        )
        for number in (1, 2)
    ),
)


def runs(tmp_path, number=1, build="k1", *, folder=None, wanted=None, sign=""):
    """Have a node's journal say that it runs a build."""
    record = Record(
        node=UUID(int=number),
        name=f"r1-{number}" if folder else f"node-{number}",
        wanted=wanted or Wanted(build=build, name="sample"),
        state="running",
        deployment=Deployment.fresh(),
        visits=(Visit("running", 0.0),),
        sign=sign,
    )
    Journal(folder or tmp_path / "lab-deploys", record.node).write(record)
    return record.deployment.disk


def deploy(tmp_path, *words, typed=""):
    words = ("--image", str(tmp_path / "build"), "--lab", str(tmp_path / "lab"), *words)
    return CliRunner().invoke(command, [*words], input=typed, standalone_mode=False)


def test_a_node_that_runs_the_build_is_left_alone_and_no_conductor_starts(there, tmp_path):
    runs(tmp_path)
    done = deploy(tmp_path, "node-1")
    assert (done.return_value, done.stdout) == (0, "node-1: already runs this build\n")
    assert there == []


def test_only_the_others_are_deployed_and_all_are_told_in_their_order(there, tmp_path):
    runs(tmp_path, 2)
    done = deploy(tmp_path, "node-2", "node-1", "--json")
    assert [node.name for node in there[0].nodes] == ["node-1"]
    told = [(result["name"], result["left_alone"]) for result in json.loads(done.stdout)]
    assert told == [("node-2", True), ("node-1", False)]


@pytest.mark.parametrize("dhcp", ["own", "proxy", "off"])
def test_the_conductor_is_told_of_the_network_and_the_site_of_the_nodes(there, tmp_path, dhcp):
    done = deploy(tmp_path, "node-1", "--dhcp", dhcp)
    assert done.return_value == 0
    assert there[0].network == Network(dhcp=dhcp), "nobody else is on a lab's wire"
    assert ("dhcp-mac=set:bakery,52:54:00:4c:00:01" in done.stderr) == (dhcp == "off")
    assert "52:54:00:4c:00:02" not in done.stderr


@pytest.mark.parametrize("words", [(), ("--json",), ("--swap", "8"), ("--again",)])
def test_without_a_terminal_what_would_be_lost_is_refused_for_all_nodes(there, tmp_path, words):
    runs(tmp_path, build="k1" if words and words[0] in ("--swap", "--again") else "k2")
    done = deploy(tmp_path, "node-1", "node-2", *words)
    error = done.exception
    assert isinstance(error, BakeryError) and error.exit_code == 1
    assert "node-1 runs sample (build k" in error.message and "would be lost" in error.message
    assert "--yes" in error.hint
    assert there == []


@pytest.mark.parametrize("words", [("--yes",), ("--again", "--yes")])
def test_yes_answers_for_a_script_and_the_conductor_is_told_what_may_go(there, tmp_path, words):
    disk = runs(tmp_path, build="k1" if "--again" in words else "k2")
    assert deploy(tmp_path, "node-1", *words).return_value == 0
    assert [node.replaces for node in there[0].nodes] == [disk]


def test_yes_alone_does_not_overwrite_the_same(there, tmp_path):
    runs(tmp_path)
    assert deploy(tmp_path, "node-1", "--yes").return_value == 0
    assert there == []


@pytest.mark.parametrize("typed", ["y\n", "n\n", "\n"])
def test_on_a_terminal_one_question_is_asked_for_all(there, tmp_path, monkeypatch, typed):
    runs(tmp_path, 1, "k2")
    runs(tmp_path, 2, "k3")
    monkeypatch.setattr("bakery.cli.deploy.somebody_is_here", lambda: True)
    done = deploy(tmp_path, "node-1", "node-2", typed=typed)
    assert "node-1 runs" in done.stderr and "node-2 runs" in done.stderr
    assert done.stderr.count("Overwrite") == 1
    assert len(there) == (1 if typed == "y\n" else 0)
    assert (done.return_value == 0) == (typed == "y\n")


@pytest.mark.parametrize("words", [("--via", "ironic"), ("--resource-class", "c"), ("--undo",)])
def test_options_of_an_ironics_deploy_are_wrong_usage_and_its_command_is_named(bakery, words):
    done = bakery("deploy", "node-1", "--image", "x", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such option" in done.stderr and words[0] in done.stderr
    assert "bakery nodes deploy" in done.stderr


def test_another_option_that_is_not_known_speaks_of_no_ironic(bakery):
    done = bakery("deploy", "node-1", "--image", "x", "--agian")
    assert done.returncode == 2
    assert "--again" in done.stderr and "nodes deploy" not in done.stderr


def options_in_the_help_of(bakery, *command):
    """The options of a command, but those of every command."""
    told = bakery(*command, "--help").stdout
    found = set(re.findall(r"^  (?:-., )?(--[a-z-]+)", told, re.MULTILINE))
    return found - {"--json", "--verbose", "--quiet", "--help"}


def test_the_helps_of_both_deploys_share_no_option_of_either(bakery):
    ours = options_in_the_help_of(bakery, "deploy")
    theirs = options_in_the_help_of(bakery, "nodes", "deploy")
    assert {"--lab", "--again", "--swap"} <= ours
    assert {"--cloud", "--trait", "--undo"} <= theirs
    assert ours & theirs == {"--image", "--method", "--config-drive"}


def test_what_the_options_say_is_what_a_conductor_is_asked(there, tmp_path):
    (tmp_path / "drive").write_bytes(b"d")
    (tmp_path / "ramdisk").mkdir()
    words = ("--method", "direct", "--no-multicast", "--bios", "ipxe", "--uefi", "grub")
    sizes = ("--swap", "8", "--ephemeral", "16", "--config-drive", str(tmp_path / "drive"))
    more = (
        "--root-device",
        "size=>= 10",
        "--attempts",
        "5",
        "--ramdisk",
        str(tmp_path / "ramdisk"),
    )
    assert deploy(tmp_path, "node-1", *words, *sizes, *more).return_value == 0
    request = there[0]
    assert (request.method, request.multicast, request.bios, request.uefi) == (
        *("direct", False, "ipxe", "grub"),
    )
    assert (request.swap_mib, request.ephemeral_mib) == (8, 16)
    assert request.config_drive == str(tmp_path / "drive")
    assert (request.nodes[0].root_device, request.attempts) == ("size=>= 10", 5)
    assert request.ramdisk == str(tmp_path / "ramdisk")


def test_what_is_not_said_is_the_usual(there, tmp_path):
    assert deploy(tmp_path, "1", "node-1").return_value == 0
    (spec,) = there[0].nodes
    assert there[0] == Request(
        nodes=(spec,),
        build=str(tmp_path / "build"),
        ramdisk=str(tmp_path),
        interface="lo",
        address="192.0.2.1/24",
        state=str(tmp_path / "lab-deploys"),
    )
    assert (spec.name, spec.uuid, spec.mac) == ("node-1", UUID(int=1), "52:54:00:4c:00:01")
    bmc = spec.bmc
    assert (bmc.address, bmc.port, bmc.username, bmc.password) == (
        *("127.0.0.1", 623, "admin", "secret"),
    )
    assert numbers("deploy") == {
        "--swap": (0, 1 << 21, 0),
        "--ephemeral": (0, 1 << 21, 0),
        "--attempts": (1, 20, 3),
    }


def test_how_each_node_ended_is_told(there, tmp_path, monkeypatch):
    visits = (Visit("enroll", 100.0), Visit("failed", 107.4))
    ends = [
        Result("node-1", UUID(int=1), "running", "", 1, visits),
        Result("node-2", UUID(int=2), "failed", "no answer", 3, visits),
    ]
    monkeypatch.setattr("bakery.conductor.launch.run", lambda *_: tuple(reversed(ends)))
    done = deploy(tmp_path, "node-1", "node-2")
    assert done.return_value == 1
    assert done.stdout.splitlines() == [
        "node-1: running (7 s)",
        "node-2: failed (7 s, try 3): no answer",
    ]


def test_what_is_overwritten_because_yes_was_said_is_noted(there, tmp_path):
    runs(tmp_path, build="k2")
    done = deploy(tmp_path, "node-1", "--yes")
    assert "node-1 runs sample (build k2)" in done.stderr
    assert "it will be overwritten" in done.stderr
    assert "will be overwritten" not in deploy(tmp_path, "node-2").stderr


def test_who_says_no_is_told_that_nothing_was_done(there, tmp_path, monkeypatch):
    runs(tmp_path, build="k2")
    monkeypatch.setattr("bakery.cli.deploy.somebody_is_here", lambda: True)
    error = deploy(tmp_path, "node-1", typed="n\n").exception
    assert isinstance(error, BakeryError) and error.message == "nothing was done"
    # with --json nobody is asked, whoever is there
    error = deploy(tmp_path, "node-1", "--json", typed="y\n").exception
    assert isinstance(error, BakeryError) and "would be lost" in error.message
    assert there == []


def test_somebody_is_here_where_standard_input_is_a_terminal(monkeypatch):
    for answer in (True, False):
        monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda answer=answer: answer))
        assert somebody_is_here() is answer


def test_power_is_asked_of_the_nodes_own_bmc_from_inside_the_lab(there, tmp_path, monkeypatch):
    asked = []

    def bmc(*words, enter, **_more):
        asked.append((*words, enter))
        return SimpleNamespace(power=lambda: "off")

    monkeypatch.setattr("bakery.bmc.ipmi.Bmc", bmc)
    runs(tmp_path)
    error = deploy(tmp_path, "node-1").exception
    assert isinstance(error, BakeryError) and "the power is off" in error.message
    assert asked == [("127.0.0.1", 623, "admin", "secret", LAB.enter)]


# A rack: a nodes file and an interface.
@pytest.fixture
def rack(there, tmp_path, monkeypatch):
    """A rack of two nodes that are off, on an interface that may be served; its file."""
    monkeypatch.setattr(interface, "address_of", lambda _wire: IPv4Interface("192.0.2.1/24"))
    monkeypatch.setattr(interface, "check_privileges", lambda: None)
    monkeypatch.setattr("bakery.bmc.ipmi.Bmc.power", lambda _bmc: "off")
    monkeypatch.setattr("bakery.lab.state.load", lambda _folder: pytest.fail("a lab was read"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("R1", "geheim")
    nodes = [
        {
            "name": f"r1-{number}",
            "uuid": str(UUID(int=number)),
            "driver": "ipmi",
            "driver_info": {"ipmi_address": f"10.0.0.{number}", "ipmi_password": "${R1}"},
            "properties": {"root_device": {"size": f"{number}"}},
            "ports": [{"address": f"52:54:00:4c:00:0{number}"}],
        }
        for number in (1, 2)
    ]
    file = tmp_path / "rack.json"
    file.write_text(json.dumps({"nodes": nodes}))
    return file


def deploy_rack(file, *words, **options):
    image = ("--image", str(file.parent / "build"))
    place = ("--nodes", str(file), "--interface", "eno2")
    return CliRunner().invoke(command, [*image, *place, *words], standalone_mode=False, **options)


def test_a_racks_nodes_are_deployed_without_a_lab(rack, there, tmp_path):
    assert deploy_rack(rack, "r1-*").return_value == 0
    (request,) = there
    assert [spec.name for spec in request.nodes] == ["r1-1", "r1-2"]
    assert [spec.root_device for spec in request.nodes] == ["size=1", "size=2"]
    assert (request.interface, request.address) == ("eno2", "192.0.2.1/24")
    assert request.state == str(tmp_path / "xdg/bakery/rack")
    assert request.until == "any"


def test_hints_and_a_folder_of_the_command_are_for_all_and_the_rest_is_neighbours(rack, there):
    words = ("r1-2", "--root-device", "size=7", "--state", str(rack.parent / "s"))
    assert deploy_rack(rack, *words, "--until", "ssh").return_value == 0
    (request,) = there
    assert [(spec.name, spec.root_device) for spec in request.nodes] == [("r1-2", "size=7")]
    assert (request.state, request.until) == (str(rack.parent / "s"), "ssh")
    assert request.neighbours == {"52:54:00:4c:00:01": "r1-1"}


def test_a_rack_node_that_runs_what_is_asked_needs_none(rack, there, tmp_path, monkeypatch):
    def refuse():
        raise BakeryError("not allowed")

    monkeypatch.setattr(interface, "check_privileges", refuse)
    monkeypatch.setattr("bakery.bmc.ipmi.Bmc.power", lambda _bmc: "on")
    wanted = Wanted(build="k1", name="sample", root_device="size=1")
    runs(tmp_path, folder=tmp_path / "xdg/bakery/rack", wanted=wanted, sign="ssh")
    done = deploy_rack(rack, "r1-1")
    assert (done.return_value, there) == (0, [])
    assert done.stdout == "r1-1: already runs this build, by its ssh banner\n"
    assert "not allowed" in str(deploy_rack(rack, "r1-2").exception)


def test_a_machine_that_is_on_and_nobody_knows_is_not_overwritten_unasked(rack, there, monkeypatch):
    monkeypatch.setattr("bakery.bmc.ipmi.Bmc.power", lambda _bmc: "on")
    error = deploy_rack(rack, "r1-1").exception
    assert isinstance(error, BakeryError) and "r1-1 is on" in error.message
    assert there == [] and deploy_rack(rack, "r1-1", "--yes").return_value == 0


def test_faults_of_the_file_are_told_with_their_lines_and_nothing_is_done(rack, there):
    rack.write_text(json.dumps({"nodes": [{"name": "r1-1", "driver": "ipmi"}]}, indent=1))
    done = deploy_rack(rack, "r1-1", "--json")
    assert done.return_value == 1 and there == []
    assert f"{rack}:3: nodes[0] (r1-1): ports: are missing" in done.stderr
    assert json.loads(done.stdout)["error"].endswith("2 problems, nothing was done")


def test_a_node_that_boots_over_the_network_is_not_left_with_nothing_to_boot(rack, there):
    error = deploy_rack(rack, "r1-1", "--until", "written").exception
    assert isinstance(error, BakeryError) and "layout pv boots over the network" in error.message
    shutil.rmtree(rack.parent / "build")
    builds.build(rack.parent / "build", "disk")
    assert deploy_rack(rack, "r1-1", "--until", "written").return_value == 0
    assert there[0].until == "written"


def test_an_interface_that_is_not_there_is_told_by_the_command_itself(bakery, tmp_path, rack):
    place = ("--nodes", rack, "--interface", "nosuchif0", "--state", tmp_path / "s")
    done = bakery("deploy", "--all", "--image", tmp_path / "build", *place)
    assert done.returncode == 1 and "no interface nosuchif0" in done.stderr
    assert not (tmp_path / "s").exists()
