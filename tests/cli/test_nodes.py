import json

import pytest


@pytest.fixture
def wrong(tmp_path):
    """A file of sixty nodes without a driver."""
    file = tmp_path / "nodes.json"
    file.write_text(json.dumps({"nodes": [{"name": f"n{i}"} for i in range(60)]}))
    return file


def test_all_that_is_wrong_is_told_within_bounds(bakery, wrong):
    done = bakery("nodes", "enroll", wrong)
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    assert lines[0] == f"{wrong}: nodes[0] (n0): driver: is missing"
    assert lines[50] == "… and 10 more"
    assert lines[51] == f"bakery: {wrong}: 60 problems, nothing was changed"


def test_all_that_is_wrong_is_one_document_for_a_program(bakery, wrong):
    document = json.loads(bakery("nodes", "enroll", wrong, "--json").stdout)
    assert document["error"].endswith("60 problems, nothing was changed")
    assert document["problems"][59] == {
        "node": "nodes[59] (n59)", "field": "driver", "message": "is missing"
    }  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        ("enroll",), ("enroll", "x", "--concurrency", "0"), ("enroll", "x", "--concurrency", "999"),
        ("power", "n", "up"), ("show",), ("boot-device", "n"), ("unroll",),
    ],
)  # fmt: skip
def test_what_means_nothing_is_wrong_usage(bakery, words):
    assert bakery("nodes", *words).returncode == 2


@pytest.mark.parametrize("words", [("list",), ("show", "n"), ("power", "n", "on")])
def test_a_cloud_that_is_not_known_is_told(bakery, tmp_path, words):
    (tmp_path / "clouds.yaml").write_text("clouds: {}")
    where = {"OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml")}
    done = bakery("nodes", *words, "--cloud", "nix", env=where)
    assert done.returncode == 1
    assert "no cloud is called 'nix'" in done.stderr


def test_a_file_that_is_not_there_is_told(bakery, tmp_path):
    done = bakery("nodes", "enroll", tmp_path / "none.yaml")
    assert done.returncode == 1
    assert "cannot read" in done.stderr
