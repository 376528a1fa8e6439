"""The worker as the ramdisk's maker runs it: by the system's own Python, on a little agent."""

import json
import marshal
import subprocess
from pathlib import Path

import pytest

from bakery.node.ramdisk import python_worker
from bakery.node.ramdisk.make import PYTHON

WORKER = Path(python_worker.__file__)


@pytest.fixture
def made(tmp_path):
    """The answer, and the folder of what was compiled."""
    package = tmp_path / "in/agent"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "main.py").write_text("import colorsys\nfrom . import part\n")
    (package / "part.py").write_text("import _bisect\nHERE = __file__\n")
    (package / "notes.txt").write_text("no module")
    (tmp_path / "in/json.py").write_text("raise SystemExit('this json is not the library\\'s')")
    words = [PYTHON, "-sSP", WORKER, tmp_path / "in", tmp_path / "out"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return json.loads(done.stdout), tmp_path / "out"


def test_the_agent_and_what_it_imports_are_compiled_where_they_will_lie(made):
    answer, out = made
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert all(name.endswith(".pyc") for name in files)
    (library,) = {name.removesuffix("/agent/main.pyc") for name in files if "agent/main" in name}
    assert {f"{library}/agent/{name}.pyc" for name in ("__init__", "main", "part")} <= files
    assert f"{library}/colorsys.pyc" in files
    assert {f"{library}/encodings/{name}.pyc" for name in python_worker.CODECS} <= files
    assert Path(answer["interpreter"]) == PYTHON.resolve()
    assert all(name.endswith(".so") for name in answer["extensions"])


def test_what_only_the_worker_needs_is_left_out(made):
    _, out = made
    names = {path.name for path in out.rglob("*.pyc")}
    assert not names & {"py_compile.pyc", "json.pyc", "decoder.pyc", "notes.pyc"}


def test_nothing_of_the_sources_place_or_time_is_in_what_was_compiled(made):
    _, out = made
    (compiled,) = out.rglob("agent/part.pyc")
    content = compiled.read_bytes()
    assert content[4:8] == (1).to_bytes(4, "little"), "by a hash that nobody checks (PEP 552)"
    assert str(out.parent).encode() not in content
    code = marshal.loads(content[16:])
    assert code.co_filename == "/" + str(compiled.relative_to(out))[:-1]
