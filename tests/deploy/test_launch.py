"""A conductor in a process of its own: what it tells, and how it can end."""

import os
import signal
import sys
import threading
from uuid import UUID

import msgspec
import pytest

from bakery.deploy.launch import carry_out, deploy_ramdisk
from bakery.deploy.order import BmcAccess, NodeSpec, Order, Outcome, Word
from bakery.errors import BakeryError
from bakery.report import Event, Report, silent
from tests.deploy import builds
from tests.deploy.targets import until

NODE = NodeSpec(
    "node-1",
    UUID("6a3c9a3e-4b5f-4c39-9d5b-0f6a2b1c7d11"),
    "52:54:00:4c:00:01",
    BmcAccess("127.0.0.1", 6231, "admin", "secret"),
    "/nowhere/console.log",
)


def order(tmp_path):
    return Order(
        nodes=(NODE,),
        build=str(tmp_path / "build"),
        ramdisk=str(tmp_path),
        interface="lo",
        address="192.0.2.1/24",
        state=str(tmp_path / "state"),
    )


def saying(*words):
    """Enter: instead of a conductor, a program that tells these words."""
    text = b"".join(msgspec.json.encode(word) + b"\n" for word in words).decode()
    return lambda _argv: [sys.executable, "-c", f"print({text!r}, end='')"]


def test_events_are_passed_on_and_outcomes_returned(tmp_path):
    seen: list[Event] = []
    event = Event("note", "node-1", "halfway", 1, 2, 0.5)
    outcome = Outcome("node-1", NODE.uuid, "failed", "why", 3, ())
    enter = saying(Word(event=event), Word(outcomes=(outcome,)))
    assert carry_out(order(tmp_path), enter, Report(seen.append)) == (outcome,)
    assert seen == [event]


def test_why_a_conductor_cannot_work_is_raised(tmp_path):
    with pytest.raises(BakeryError, match="no such wire") as caught:
        carry_out(order(tmp_path), saying(Word(error="no such wire", hint="look")), silent())
    assert caught.value.hint == "look"


def test_a_conductor_that_ends_without_a_word_is_told_with_its_last_ones(tmp_path):
    code = "import sys; sys.exit('it broke')"
    with pytest.raises(BakeryError, match="the conductor failed with exit code 1: it broke"):
        carry_out(order(tmp_path), lambda _argv: [sys.executable, "-c", code], silent())


def test_a_folder_that_is_no_build_is_told_by_the_real_conductor(tmp_path):
    (tmp_path / "build").mkdir()
    with pytest.raises(BakeryError, match="no finished build"):
        carry_out(order(tmp_path), list, silent())


def test_an_address_that_is_not_ours_is_told_by_the_real_conductor(tmp_path):
    builds.build(tmp_path / "build")
    with pytest.raises(BakeryError, match="cannot be served"):
        carry_out(order(tmp_path), list, silent())


def test_a_killed_conductor_is_told_so(tmp_path):
    pids = tmp_path / "pid"
    code = f"import os,time; open({str(pids)!r},'w').write(str(os.getpid())+'.'); time.sleep(600)"

    def kill():
        until(lambda: pids.exists() and pids.read_text().endswith("."))
        os.kill(int(pids.read_text()[:-1]), signal.SIGKILL)

    threading.Thread(target=kill).start()
    with pytest.raises(BakeryError, match="the conductor was ended by SIGKILL"):
        carry_out(order(tmp_path), lambda _argv: [sys.executable, "-c", code], silent())


def test_a_deploy_ramdisk_that_was_made_is_not_made_again(tmp_path, monkeypatch):
    made = []

    def make(folder, _report):
        made.append(folder)
        folder.mkdir()
        for name in ("deploy-kernel", "deploy-ramdisk"):
            (folder / name).touch()

    monkeypatch.setattr("bakery.ramdisk.make.make", make)
    assert deploy_ramdisk(tmp_path, silent()) == deploy_ramdisk(tmp_path, silent()) == made[0]
    assert len(made) == 1
