import subprocess
import sys

import pytest

from bakery.lab import nodes
from tests.lab.machines import Machines, hardware, node_in

HOLDER = """
import sys
from pathlib import Path
from bakery.lab import state
print(state.hold(Path(sys.argv[1])) is not None, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process, that holds the lock of the folder `lab`."""
    words = [sys.executable, "-c", HOLDER, tmp_path / "lab"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == b"True\n"
            yield process
        finally:
            process.kill()


@pytest.fixture
def machines(monkeypatch):
    """Nodes run shell scripts in place of QEMU's guests, from here on."""
    found = Machines()
    monkeypatch.setattr(nodes, "qemu", found.command)
    return found


@pytest.fixture
def node(tmp_path, machines):
    """A node of the lab in `tmp_path`, off; its machine is a shell script."""
    made = node_in(tmp_path, hardware())
    yield made
    made.close()
