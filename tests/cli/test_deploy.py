"""`bakery deploy` on the command line: what is refused before anything is started."""

import json


def test_without_a_lab_it_says_how_to_bring_one_up(bakery, tmp_path):
    (tmp_path / "build").mkdir()
    done = bakery("deploy", "node-1", "--image", tmp_path / "build", "--lab", tmp_path / "lab")
    assert done.returncode == 1
    assert f"no lab is up in {tmp_path / 'lab'}" in done.stderr
    assert "bakery lab up" in done.stderr


def test_the_same_is_told_to_a_program(bakery, tmp_path):
    words = ("--image", tmp_path, "--lab", tmp_path / "lab", "--json")
    done = bakery("deploy", "node-1", *words)
    assert json.loads(done.stdout)["hint"] == "bakery lab up"


def test_a_node_and_an_image_are_needed(bakery, tmp_path):
    assert bakery("deploy", "--image", tmp_path).returncode == 2
    assert bakery("deploy", "node-1").returncode == 2


def test_a_method_nobody_has_is_wrong_usage(bakery, tmp_path):
    done = bakery("deploy", "node-1", "--image", tmp_path, "--method", "magic")
    assert done.returncode == 2
    assert "'magic' is not one of 'iscsi', 'direct'" in done.stderr
