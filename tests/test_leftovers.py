"""The look for leftovers must find them, or it proves nothing."""

import os
import signal
import subprocess

from tests import leftovers


def test_a_running_child_is_seen_and_its_end_too():
    before = leftovers.present()
    with subprocess.Popen(["sleep", "1000"]) as child:
        assert any(f"process {child.pid} " in item for item in leftovers.present() - before)
        child.kill()
    assert leftovers.left_since(before) == set()


def test_an_orphan_in_a_session_of_its_own_is_seen():
    before = leftovers.present()
    script = "setsid sleep 1000 >/dev/null 2>&1 & echo $!"
    pid = int(subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout)
    try:
        assert any(f"process {pid} " in item for item in leftovers.present() - before)
    finally:
        os.kill(pid, signal.SIGKILL)
    assert leftovers.left_since(before) == set()
    assert not leftovers.alive(pid)


def test_what_stays_is_told(monkeypatch):
    monkeypatch.setattr(leftovers, "SETTLE_SECONDS", 0)
    before = leftovers.present()
    with subprocess.Popen(["sleep", "1000"]) as child:
        left = leftovers.left_since(before)
        child.kill()
    assert any("sleep 1000" in item for item in left)
