import os
from pathlib import Path

import pytest

from bakery.host.run import CommandFailed
from bakery.samples.enclosure import run_enclosed, run_inside

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="keeping every capability needs root")


def test_a_program_sees_the_machine_and_no_other_process():
    done = run_enclosed(["ls", "/proc"], env={"LC_ALL": "C"})
    processes = [name for name in done.text.split() if name.isdigit()]
    assert len(processes) <= 3
    assert run_enclosed(["cat", "/etc/os-release"]).stdout == Path("/etc/os-release").read_bytes()


def test_a_tree_is_the_whole_world_of_what_runs_inside(tmp_path):
    for name in ("dev", "proc", "run", "tmp", "var/tmp"):
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(CommandFailed):
        run_inside(tmp_path, ["ls"])
