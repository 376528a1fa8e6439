"""The table of minutes, and the order of a run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import minutes
from tests.conftest import REPOSITORY


def report(nodeid: str, seconds: float) -> pytest.TestReport:
    return pytest.TestReport(nodeid, ("", 0, ""), {}, "passed", None, "call", duration=seconds)


def test_the_table_adds_up_folders_longest_first_and_then_groups():
    table = minutes.Minutes()
    for nodeid, seconds in (
        ("tests/disk/volumes/test_lvm.py::test_it[a@b]", 6.0),
        ("tests/disk/test_files.py::test_it", 24.0),
        ("tests/e2e/test_upload.py::test_it@services", 60.0),
        ("tests/e2e/test_upload.py::test_it@services", 60.0),
        ("tests/test_docs.py::test_it[a]@services", 12.0),
        ("tests/netboot/test_dhcp.py::test_it@namespaces", 0.1),
    ):
        table.pytest_runtest_logreport(report(nodeid, seconds))
    assert table.lines() == [
        "    2.0 min      1 tests  tests/e2e",
        "    0.5 min      2 tests  tests/disk",
        "    0.2 min      1 tests  tests",
        "    0.0 min      1 tests  tests/netboot",
        "    2.7 min      5 tests  all",
        "    2.2 min      2 tests  @services",
    ]


PLUGIN = """
from tests import minutes

def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(minutes.Minutes())

def pytest_collection_modifyitems(items):
    items.sort(key=minutes.rank)
"""
QUICK = """
import pytest

@pytest.mark.parametrize("number", range(5))
def test_it(number):
    pass
"""
GROUPED = """
import pathlib, pytest

@pytest.mark.xdist_group("GROUP")
@pytest.mark.parametrize("number", range(4))
def test_it(number):
    with pathlib.Path("order").open("a") as file:
        file.write("GROUP ")
"""


def test_two_processes_start_with_the_longest_groups_and_one_table_tells_of_both(tmp_path: Path):
    (tmp_path / "conftest.py").write_text(PLUGIN)
    folder = tmp_path / "tests/disk"
    folder.mkdir(parents=True)
    (folder / "test_a.py").write_text(QUICK)
    first, second, last = *minutes.LONGEST_FIRST[:2], minutes.LONGEST_FIRST[-1]
    for name, group in (("b", last), ("c", second), ("d", first)):
        (folder / f"test_{name}.py").write_text(GROUPED.replace("GROUP", group))
    options = ("-p", "no:cacheprovider", "-n", "2", "--dist", "loadgroup")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--no-loadscope-reorder", *options, "tests"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "order").read_text().split()[0] in (first, second)
    assert done.stdout.count(" 17 tests  tests/disk") == 1
    assert done.stdout.count(" 17 tests  all") == 1


@pytest.mark.parametrize("value", ["long\n" * 100, b"\0" * 100])
def test_the_name_of_no_test_is_longer_than_some_lines(request: pytest.FixtureRequest, value):
    assert request.node.name.rpartition("...")[2] == f"{len(value)}]"
    names = [item.nodeid for item in request.session.items]
    assert [name for name in names if len(name) > 500 or not name.isascii()] == []
    assert [name for name in names if not name.isprintable()] == []
