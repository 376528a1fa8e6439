"""The deploy step for Ironic, found and run by a real ironic-python-agent; a file is its disk."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bakery.netboot.http import HttpServer
from bakery.netboot.tree import Tree
from tests import tiny
from tests.conftest import Bakery

MIB = 1 << 20
DISK_BYTES = 64 * MIB
OLD = b"old" * (MIB // 3)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """It bears traces of another system."""
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.write(OLD)
        file.truncate(DISK_BYTES)
    return path


@pytest.fixture
def build(bakery: Bakery, tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    image = tiny.make(tmp_path / "in")
    done = bakery("build", image, "-o", tmp_path / "out", "--layout", "disk", "--compress", "zstd")
    assert done.returncode == 0, done.stderr
    return tmp_path / "out"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", path], check=True)
    return path


@pytest.fixture
def server(build: Path) -> Iterator[HttpServer]:
    """A server of what the build's folder holds when it is asked."""
    tree = Tree()
    for name in ("tiny.plan", "tiny-base.zst"):
        tree.put(name, build / name)
    with HttpServer("127.0.0.1", tree, lambda _event: None) as there:
        yield there


def step_for(
    bakery: Bakery, build: Path, key: Path, server: HttpServer, *words: str
) -> dict[str, Any]:
    """The step that `bakery sign` prints, with the server's name in it."""
    done = bakery("sign", build, "--key", key, "--json", *words)
    assert done.returncode == 0, done.stderr
    step = json.loads(done.stdout)["deploy_step"]
    step["args"]["plan_url"] = step["args"]["plan_url"].replace("http://SERVER", server.url)
    return dict(step)


def agent(disk: Path, step: dict[str, Any] | None) -> dict[str, Any]:
    """What the agent answers Ironic: `error` and `result`."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.node.ipa_agent", disk],
        cwd=Path(__file__).parents[2],
        input=json.dumps(step),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_the_agent_lists_the_step_and_runs_it_for_nobody_who_does_not_ask(disk: Path):
    told = agent(disk, None)["result"]
    (ours,) = told["deploy_steps"]["PackedImageManager"]
    assert (ours["step"], ours["interface"]) == ("write_packed_image", "deploy")
    assert ours["priority"] == 0
    assert set(ours["argsinfo"]) == {"plan_url", "plan_key", "plan_serial"}
    assert told["hardware_manager_version"]["bakery"] == "1"


def test_the_step_that_sign_prints_brings_the_build_to_the_disk(
    bakery: Bakery, build: Path, key: Path, server: HttpServer, disk: Path
):
    step = step_for(bakery, build, key, server)
    base = (build / "tiny-base").read_bytes()
    told = agent(disk, step)
    assert told["error"] is None
    given = told["result"]["deploy_result"]
    assert given == {"device": str(disk), "bytes": len(base)}
    written = disk.read_bytes()
    assert written[: len(base)] == base
    assert not any(written[len(base) :])


def test_another_key_than_the_signer_s_leaves_the_disk_alone(
    bakery: Bakery, build: Path, key: Path, server: HttpServer, disk: Path
):
    step = step_for(bakery, build, key, server)
    for wrong in ("00" * 32, "5a" * 31, "none"):
        step["args"]["plan_key"] = wrong
        assert "was not written" in agent(disk, step)["error"]
    assert disk.read_bytes().startswith(OLD)


def test_an_altered_plan_leaves_the_disk_alone(
    bakery: Bakery, build: Path, key: Path, server: HttpServer, disk: Path
):
    step = step_for(bakery, build, key, server)
    plan = build / "tiny.plan"
    plan.write_bytes(plan.read_bytes().replace(b'"place":0', b'"place":1'))
    assert "signed" in agent(disk, step)["error"]
    assert disk.read_bytes().startswith(OLD)


def test_a_list_that_is_older_than_the_step_asks_for_leaves_the_disk_alone(
    bakery: Bakery, build: Path, key: Path, server: HttpServer, disk: Path
):
    step = step_for(bakery, build, key, server)
    step["args"]["plan_serial"] += 1
    assert "is an old one" in agent(disk, step)["error"]
    step["args"]["plan_serial"] = "none"
    assert "was not written" in agent(disk, step)["error"]
    assert disk.read_bytes().startswith(OLD)


def test_a_list_for_another_node_leaves_the_disk_alone(
    bakery: Bakery, build: Path, key: Path, server: HttpServer, disk: Path
):
    step = step_for(bakery, build, key, server, "--node", "another")
    assert "for another node" in agent(disk, step)["error"]
    assert disk.read_bytes().startswith(OLD)


def test_a_plan_that_is_not_there_is_named(
    bakery: Bakery, build: Path, key: Path, server: HttpServer, disk: Path
):
    step = step_for(bakery, build, key, server)
    step["args"]["plan_url"] += "x"
    assert "404" in agent(disk, step)["error"]


def test_only_a_whole_disk_can_be_signed(bakery: Bakery, build: Path, key: Path, tmp_path: Path):
    image = tmp_path / "in/tiny.qcow2"
    assert bakery("build", image, "-o", tmp_path / "lv", "--layout", "lv").returncode == 0
    done = bakery("sign", tmp_path / "lv", "--key", key)
    assert done.returncode == 1
    assert "--layout disk" in done.stderr


def test_what_is_no_private_key_is_named(bakery: Bakery, build: Path, tmp_path: Path):
    other = tmp_path / "rsa.pem"
    subprocess.run(["openssl", "genrsa", "-out", other, "2048"], check=True, capture_output=True)
    for path, reason in (
        (tmp_path / "none", "cannot be read"),
        (build / "tiny-base.index", "is not an unencrypted private key"),
        (other, "is not an Ed25519 key"),
    ):
        done = bakery("sign", build, "--key", path)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False)
        assert reason in done.stderr
        assert "openssl genpkey" in done.stderr
    assert not (build / "tiny.plan").exists()


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The manager in this process; what it logs is kept in `manager.said`."""
    import ironic_python_agent.config  # noqa: F401 - the agent's options, which it asks for

    from bakery.node import hardware_manager

    said: list[str] = []
    keep = SimpleNamespace(info=lambda text, *words: said.append(text % words))
    monkeypatch.setattr(hardware_manager, "LOG", keep)
    monkeypatch.setattr(hardware_manager, "said", said, raising=False)
    return hardware_manager


def test_progress_is_logged_now_and_then_and_at_the_end(
    manager: Any, monkeypatch: pytest.MonkeyPatch
):
    now = [1000.0]
    monkeypatch.setattr(manager, "time", SimpleNamespace(monotonic=lambda: now[0]))
    tell = manager._logged()
    for seconds, done in ((0, 1), (1, 2), (4.9, 3), (0.1, 4), (0.1, 5), (4.9, 6), (0, 7), (0, 8)):
        now[0] += seconds
        tell("writing", done * MIB, 8 * MIB)
    assert manager.said == [f"writing: {done} of 8 MiB" for done in (1, 3, 6, 8)]


def test_the_step_is_offered_to_every_node_once(manager: Any):
    from ironic_python_agent import hardware

    own = manager.PackedImageManager()
    assert own.evaluate_hardware_support() == hardware.HardwareSupport.SERVICE_PROVIDER
    (step,) = own.get_deploy_steps({}, [])
    assert (step["priority"], step["reboot_requested"]) == (0, False)
    assert all(argument["required"] for argument in step["argsinfo"].values())


def test_a_disk_that_was_not_written_is_told_with_its_reason(
    manager: Any, monkeypatch: pytest.MonkeyPatch
):
    from ironic_python_agent import errors, hardware

    asked = []

    def device(name: str, **words: object) -> str:
        asked.append((name, words))
        return "/dev/sda"

    monkeypatch.setattr(hardware, "dispatch_to_managers", device)
    with pytest.raises(errors.DeploymentError, match=r"/dev/sda was not written: .*http://HOST"):
        manager.PackedImageManager().write_packed_image({}, [], "ftp://a", "00" * 32, 1)
    assert asked == [("get_os_install_device", {"permit_refresh": True})]


def test_a_key_is_read_from_its_digits(manager: Any):
    assert manager._key("00ff") == b"\x00\xff"
    with pytest.raises(manager.AgentError, match="plan_key is not 64 hexadecimal digits"):
        manager._key("none")
