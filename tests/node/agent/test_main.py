"""How the agent ends, and in which order it goes about a deployment."""

import contextlib
from typing import cast

import pytest

from bakery.conductor import encryption
from bakery.node.agent import (
    bootloader,
    drivers,
    kernel_args,
    main,
    network,
    signed_list,
    target,
)
from bakery.node.agent.disks import Arrivals
from bakery.node.agent.errors import AgentError

ARGUMENTS = (
    "deployment_id=node-7 deployment_key=KEY iscsi_target_iqn=iqn.a disk=sda "
    "ironic_api_url=http://127.0.0.1:6385"
)


@pytest.fixture
def ended(tmp_path, monkeypatch):
    """Run the agent with these kernel arguments; its exit code."""

    def run(arguments, error=None):
        def deploy(settings):
            assert settings == kernel_args.parse(arguments)
            if error is not None:
                raise error

        (tmp_path / "cmdline").write_text(arguments + "\n")
        monkeypatch.setattr(kernel_args, "CMDLINE", str(tmp_path / "cmdline"))
        monkeypatch.setattr(kernel_args, "SECRETS_FILE", str(tmp_path / "secrets"))
        monkeypatch.setattr(main, "deploy", deploy)
        with pytest.raises(SystemExit) as ended:
            main.main()
        return ended.value.code

    return run


@pytest.mark.parametrize(
    ("arguments", "error", "code", "said"),
    [
        (ARGUMENTS, None, 0, "rebooting"),
        (ARGUMENTS, AgentError("no disk"), 1, "ERROR: no disk"),
        (f"{ARGUMENTS} troubleshoot=1", AgentError("no disk"), 2, "ERROR: no disk"),
        (f"{ARGUMENTS} troubleshoot=1", None, 0, "rebooting"),
    ],
)
def test_init_is_told_what_to_do_by_the_exit_code(ended, capsys, arguments, error, code, said):
    assert ended(arguments, error) == code
    assert said in capsys.readouterr().out


class Conductor:
    """What it was told, and what it gives."""

    address = ""

    def __init__(self) -> None:
        self.told: list[object] = []

    def failed(self, reason: str) -> None:
        self.told.append(("failed", reason))

    def disk_is_ready(self, machine: dict[str, str], *, chap: bool) -> None:
        assert (machine["disk_model"], machine["disk_bytes"]) == ("M", "4096")
        self.told.append(("ready", chap))

    def boot_loader_failed(self, reason: str) -> None:
        self.told.append(("no loader", reason))


class Disk:
    name, device, size, model, serial = "sda", "/dev/sda", 4096, "M", "S"


@pytest.fixture
def there(monkeypatch):
    """A conductor, and a node whose disk is exported and whose notice comes at once."""
    conductor = Conductor()

    class Notice:
        port = 10000

        def wait(self):
            conductor.told.append("waited")

    @contextlib.contextmanager
    def exported(device, iqn, access, *_):
        conductor.told.append(("exported", device, iqn, access is not None))
        yield
        conductor.told.append("no longer exported")

    listening = lambda *_: contextlib.nullcontext(Notice())  # noqa: E731
    monkeypatch.setattr(main, "choose_disk", lambda *_: Disk())
    monkeypatch.setattr(main, "listening", listening)
    monkeypatch.setattr(target, "exported", exported)
    return conductor


def written(conductor, more=""):
    arrivals = cast("Arrivals", None)  # `choose_disk` does not ask it
    main.have_it_written(kernel_args.parse(f"{ARGUMENTS} {more}"), conductor, arrivals)


def test_the_disk_is_exported_until_the_word_was_said(there):
    written(there)
    assert there.told == [
        ("exported", "/dev/sda", "iqn.a", True),
        ("ready", True),
        "waited",
        "no longer exported",
    ]


@pytest.mark.parametrize(
    ("more", "found", "fails"),
    [("boot_option=local", False, True), ("boot_option=local", True, False), ("", False, False)],
)
def test_a_node_that_is_to_boot_by_itself_has_a_boot_loader(there, monkeypatch, more, found, fails):
    monkeypatch.setattr(bootloader, "is_there", lambda device: device == "/dev/sda" and found)
    if not fails:
        written(there, more)
        assert there.told[-1] == "no longer exported"
        return
    with pytest.raises(AgentError, match="/dev/sda has no boot loader") as refused:
        written(there, more)
    assert there.told[-1] == ("no loader", str(refused.value))


def test_what_cannot_be_exported_is_told(there, monkeypatch):
    def refuse(*_):
        raise AgentError("tgtd exited at once")

    monkeypatch.setattr(target, "exported", refuse)
    with pytest.raises(AgentError, match="tgtd exited"):
        written(there)
    assert there.told == [("failed", "tgtd exited at once")]


def test_a_node_writes_its_disk_before_it_says_so_and_waits(there, monkeypatch):
    told, asked = there.told, list[bytes]()

    def pull(device, listed, _tell, interface, **more):
        told.append(("pulled", device, listed, interface, more))

    def read(content, key, here):
        assert (content, key) == (b"list", b"\xaa" * 32)
        assert (here.node, here.disk_bytes) == ("node-7", Disk.size)
        assert here.encrypted_to == asked[0].hex()
        return "the list"

    def write_list(machine, public):
        assert machine["disk_bytes"] == str(Disk.size)
        asked.append(public)
        return encryption.encrypted_list(b"list", public, "KEY")

    there.write_list = write_list
    there.token = lambda: "TOKEN"
    there.progress = lambda *_: None
    there.written = lambda: told.append("written")
    monkeypatch.setattr(main, "BlockDevice", contextlib.nullcontext)
    monkeypatch.setattr(main, "pull", pull)
    monkeypatch.setattr(signed_list, "read", read)
    settings = kernel_args.parse(f"{ARGUMENTS} bakery_key={'aa' * 32}")
    main.write_it(settings, there, cast("Arrivals", None), "eth0")
    pulled = ("pulled", "/dev/sda", "the list", "eth0", {"token": "TOKEN"})
    assert told == [pulled, "written", "waited"]


def test_the_way_of_the_deployment_is_chosen_by_the_key(monkeypatch):
    went: list[str] = []
    monkeypatch.setattr(drivers, "load", lambda: went.append("drivers"))
    monkeypatch.setattr(main, "Arrivals", lambda: went.append("disks"))

    def bring_up(_settings):
        went.append("network")
        return network.Network("eth0", "10.0.0.5", "")

    monkeypatch.setattr(network, "bring_up", bring_up)
    monkeypatch.setattr(main, "Conductor", lambda *_: "conductor")
    monkeypatch.setattr(main, "write_it", lambda *words: went.append(f"write {words[3]}"))
    monkeypatch.setattr(main, "have_it_written", lambda *_: went.append("export"))
    main.deploy(kernel_args.parse(ARGUMENTS))
    main.deploy(kernel_args.parse(f"{ARGUMENTS} bakery_key={'00' * 32}"))
    began = ["drivers", "disks", "network"]
    assert went == [*began, "export", *began, "write eth0"]


def test_a_disk_is_chosen_by_valid_arguments_alone(monkeypatch, capsys):
    from bakery.node.agent.disks import Disk as Found

    found = Found("sda", 4 << 30, rotational=False)
    outlooks = []

    def wait(_self, outlook):
        outlooks.append(outlook([found]))
        return [found]

    arrivals = type("Arrivals", (), {"wait": wait})()
    assert main.choose_disk(kernel_args.parse(ARGUMENTS), arrivals) is found
    told = capsys.readouterr().out
    assert "disk: /dev/sda" in told
    assert "reached as" not in told
    hinted = f"{ARGUMENTS} root_device=serial=none"
    with pytest.raises(AgentError, match="no disk matches"):
        main.choose_disk(kernel_args.parse(hinted), arrivals)
    with pytest.raises(AgentError, match="large enough"):
        main.choose_disk(kernel_args.parse(f"{ARGUMENTS} bakery_bytes={5 << 30}"), arrivals)
    assert outlooks == ["there", "missing", "there"]
    with pytest.raises(AgentError, match="deployment_key is missing"):
        main.choose_disk(kernel_args.parse(ARGUMENTS.replace("KEY", "")), arrivals)
