"""A conductor in a process of its own: what it tells, and how it can end."""

import os
import signal
import sys
import threading
from uuid import UUID

import msgspec
import pytest

from bakery.bmc.access import IpmiAccess
from bakery.conductor import launch
from bakery.conductor.launch import deploy_ramdisk, run
from bakery.conductor.messages import Message, NodeSpec, Request, Result
from bakery.host.errors import BakeryError
from bakery.host.report import Event, Report, silent
from tests.conductor import builds
from tests.conductor.targets import until

NODE = NodeSpec(
    "node-1",
    UUID("6a3c9a3e-4b5f-4c39-9d5b-0f6a2b1c7d11"),
    "52:54:00:4c:00:01",
    IpmiAccess("127.0.0.1", 6231, "admin", "secret"),
    "/nowhere/console.log",
)


def request(tmp_path):
    return Request(
        nodes=(NODE,),
        build=str(tmp_path / "build"),
        ramdisk=str(tmp_path),
        interface="lo",
        address="192.0.2.1/24",
        state=str(tmp_path / "state"),
    )


def saying(*words):
    """Enter: instead of a conductor, a program that tells these words."""
    text = b"".join(msgspec.json.encode(message) + b"\n" for message in words).decode()
    return lambda _argv: [sys.executable, "-c", f"print({text!r}, end='')"]


def test_events_are_passed_on_and_outcomes_returned(tmp_path):
    seen: list[Event] = []
    event = Event("note", "node-1", "halfway", 1, 2, 0.5)
    result = Result("node-1", NODE.uuid, "failed", "why", 3, ())
    enter = saying(Message(event=event), Message(results=(result,)))
    assert run(request(tmp_path), enter, Report(seen.append)) == (result,)
    assert seen == [event]


def test_why_a_conductor_cannot_work_is_raised(tmp_path):
    with pytest.raises(BakeryError, match="no such wire") as caught:
        run(request(tmp_path), saying(Message(error="no such wire", hint="look")), silent())
    assert caught.value.hint == "look"


def test_a_conductor_that_ends_without_a_word_is_told_with_its_last_ones(tmp_path):
    code = "import sys; sys.exit('it broke')"
    with pytest.raises(BakeryError, match="the conductor failed with exit code 1: it broke"):
        run(request(tmp_path), lambda _argv: [sys.executable, "-c", code], silent())


def test_a_folder_that_is_no_build_is_told_by_the_real_conductor(tmp_path):
    (tmp_path / "build").mkdir()
    with pytest.raises(BakeryError, match="no finished build"):
        run(request(tmp_path), list, silent())


def test_an_address_that_is_not_ours_is_told_by_the_real_conductor(tmp_path):
    builds.build(tmp_path / "build")
    with pytest.raises(BakeryError, match="cannot be served"):
        run(request(tmp_path), list, silent())


def test_a_killed_conductor_is_told_so(tmp_path):
    pids = tmp_path / "pid"
    code = f"import os,time; open({str(pids)!r},'w').write(str(os.getpid())+'.'); time.sleep(600)"

    def kill():
        until(lambda: pids.exists() and pids.read_text().endswith("."))
        os.kill(int(pids.read_text()[:-1]), signal.SIGKILL)

    threading.Thread(target=kill).start()
    with pytest.raises(BakeryError, match="the conductor was ended by SIGKILL"):
        run(request(tmp_path), lambda _argv: [sys.executable, "-c", code], silent())


def test_a_deploy_ramdisk_that_was_made_is_not_made_again(tmp_path, monkeypatch):
    made = []

    def make(folder, _report):
        made.append(folder)
        folder.mkdir()
        for name in ("deploy-kernel", "deploy-ramdisk"):
            (folder / name).touch()

    monkeypatch.setattr("bakery.node.ramdisk.make.make", make)
    assert deploy_ramdisk(tmp_path, silent()) == deploy_ramdisk(tmp_path, silent()) == made[0]
    assert len(made) == 1


def test_the_conductor_is_started_in_a_guard_with_its_request(tmp_path):
    asked = []

    def enter(words):
        asked.append(words)
        return saying(Message(results=()))(words)

    assert run(request(tmp_path), enter, silent()) == ()
    assert asked[0][:4] == ["setpriv", "--pdeathsig", "KILL", "--"]
    assert asked[0][4:] == [sys.executable, "-P", "-m", "bakery.conductor.conductor"]


def test_the_request_is_on_standard_input_where_nobody_else_reads_it(tmp_path):
    kept = tmp_path / "kept"
    code = f"import sys; open({str(kept)!r}, 'w').write(sys.stdin.read()); print('{{}}')"
    with pytest.raises(BakeryError, match=r"exit code 0"):
        run(request(tmp_path), lambda _argv: [sys.executable, "-c", code], silent())
    assert msgspec.json.decode(kept.read_bytes(), type=Request) == request(tmp_path)


def test_several_nodes_have_a_step_together(tmp_path):
    seen: list[Event] = []
    events = [Message(event=Event("progress", f"node-{n} writing", "", 50, 100)) for n in (1, 2)]
    two = msgspec.structs.replace(request(tmp_path), nodes=(NODE, NODE))
    run(two, saying(*events, Message(results=())), Report(seen.append))
    assert [event.step for event in seen if event.kind == "finished"] == ["all writing"]


def test_a_line_longer_than_any_is_no_message(tmp_path):
    code = "print('x' * (1 << 20) * 2)"
    with pytest.raises(msgspec.DecodeError):
        run(request(tmp_path), lambda _argv: [sys.executable, "-c", code], silent())


@pytest.mark.parametrize("lost", ["deploy-kernel", "deploy-ramdisk"])
def test_a_deploy_ramdisk_of_which_a_half_is_lost_is_made_again(tmp_path, monkeypatch, lost):
    made = making(monkeypatch)
    folder = deploy_ramdisk(tmp_path, silent())
    (folder / lost).unlink()
    deploy_ramdisk(tmp_path, silent())
    assert made == [folder, folder]


def making(monkeypatch):
    made = []

    def make(folder, _report):
        made.append(folder)
        folder.mkdir(exist_ok=True)
        for name in ("deploy-kernel", "deploy-ramdisk"):
            (folder / name).touch()

    monkeypatch.setattr("bakery.node.ramdisk.make.make", make)
    return made


def test_another_agent_has_another_ramdisk(tmp_path, monkeypatch):
    """The key is of every file of the agent and of what makes the ramdisk."""
    package = tmp_path / "bakery"
    for part in ("agent", "ramdisk"):
        (package / "node" / part / "inner").mkdir(parents=True)
        (package / "node" / part / "one.py").write_text("1")
    (package / "conductor").mkdir()
    monkeypatch.setattr(launch, "__file__", str(package / "conductor/launch.py"))
    keys = [launch._key()]
    for part in ("agent", "ramdisk"):
        (package / "node" / part / "one.py").write_text("2")
        keys.append(launch._key())
    (package / "node/agent/one.py").rename(package / "node/agent/two.py")
    keys.append(launch._key())
    assert len(set(keys)) == 4
    assert all(len(key) == 16 for key in keys)
    assert launch._key() == keys[-1]
