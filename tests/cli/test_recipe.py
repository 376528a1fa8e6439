"""`bakery build RECIPE.toml`, beside the same build by options."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests import tiny

NOWHERE = {"OS_CLIENT_CONFIG_FILE": "/dev/null", "OS_CLOUD": "nowhere"}


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> Path:
    return tiny.make(tmp_path_factory.mktemp("tiny"))


def recipe(folder: Path, image: Path, more: str = "", *, sha256: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / image.name).symlink_to(image)
    path = folder / "lab.toml"
    path.write_text(
        f"""
name = "lab"
layout = "lv"
base_sha256 = true
compress = "zstd"
[source]
image = "{image.name}"
sha256 = "{sha256 or hashlib.sha256(image.read_bytes()).hexdigest()}"
[kernel_args]
append = ["quiet"]
delete = ["ro"]
{more}"""
    )
    return path


def document(done: Any) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def steps(done: Any) -> list[str]:
    return [line.partition(":")[0] for line in done.stderr.splitlines() if ": done" in line]


OPTIONS = ("--name", "lab", "--layout", "lv", "--sha256", "--compress", "zstd")
KARGS = ("--karg-append", "quiet", "--karg-delete", "ro")


def test_a_recipe_builds_what_the_same_options_build(bakery, image, tmp_path):
    path = recipe(tmp_path / "lab", image)
    by_recipe = document(bakery("build", path, "--json"))
    assert Path(by_recipe["directory"]) == tmp_path / "lab" / "lab"
    by_options = document(bakery("build", image, "-o", tmp_path / "o", *OPTIONS, *KARGS, "--json"))
    assert by_recipe["manifest"] == by_options["manifest"]
    assert by_recipe["manifest"]["kernel_args"][-1] == "quiet"
    assert by_recipe["manifest"]["artifacts"]["base"]["sha256"]
    names = sorted(path.name for path in (tmp_path / "o").iterdir())
    assert sorted(path.name for path in (tmp_path / "lab" / "lab").iterdir()) == names


def test_a_second_run_does_only_what_is_missing(bakery, image, tmp_path):
    path = recipe(tmp_path, image)
    first = bakery("build", path, "-v")
    assert first.returncode == 0, first.stderr
    again = document(bakery("build", path, "--json"))
    assert not again["fresh"]
    path.write_text(path.read_text().replace('"quiet"', '"quiet", "debug"'))
    changed = bakery("build", path, "-v")
    assert "base" in steps(first)
    assert steps(changed) == ["commit"]
    assert "quiet debug" in changed.stdout


def test_a_plan_by_recipe_tells_what_is_left(bakery, image, tmp_path):
    path = recipe(tmp_path, image)
    told = document(bakery("plan", path, "--json"))
    assert {step["state"] for step in told["steps"]} == {"will run"}
    document(bakery("build", path, "--json"))
    told = document(bakery("plan", path, "--json"))
    assert {step["state"] for step in told["steps"]} == {"have"}
    assert told["output"] == str(tmp_path / "lab")


def test_folder_and_engine_may_be_given_beside_a_recipe(bakery, image, tmp_path):
    path = recipe(tmp_path / "in", image)
    done = bakery("build", path, "-o", "here", "--engine", "direct", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "here" / "lab.manifest.json").exists()
    assert not (tmp_path / "in" / "lab").exists()


@pytest.mark.parametrize("command", ["build", "plan"])
@pytest.mark.parametrize(
    "option",
    [
        ("--name", "x"),
        ("--layout", "lv"),
        ("--deployment", "0"),
        ("--karg-append", "a"),
        ("--karg-delete", "a"),
        ("--sha256",),
        ("--compress", "zstd"),
    ],
    ids=lambda option: option[0],
)
def test_what_is_built_is_the_recipes_word_alone(bakery, image, tmp_path, command, option):
    done = bakery(command, recipe(tmp_path, image), *option)
    assert done.returncode == 2
    assert f"{option[0]} cannot be used with a recipe" in done.stderr
    assert not (tmp_path / "lab").exists()


@pytest.mark.parametrize("command", ["build", "plan"])
def test_another_image_than_the_recipe_names_is_refused(bakery, image, tmp_path, command):
    done = bakery(command, recipe(tmp_path, image, sha256="0" * 64))
    assert done.returncode == 1
    assert "tiny.qcow2 is not the requested image: its sha256 is" in done.stderr
    assert not (tmp_path / "lab").exists()


def test_the_sha256_of_an_image_with_holes_is_read_once(bakery, image, tmp_path):
    raw = tmp_path / "holes.raw"
    folder = tmp_path / "in"
    tiny.run("qemu-img", "convert", "-O", "raw", image, raw)
    path = recipe(folder, raw)
    first, again = (bakery("build", path, "-v") for _ in range(2))
    assert (first.returncode, again.returncode) == (0, 0), first.stderr
    assert steps(first).count("source") == 2
    assert "source" not in steps(again)


def test_a_wrong_recipe_is_one_line_and_wrong_usage(bakery, tmp_path):
    (tmp_path / "lab.toml").write_text("\n[kernel_arg]\n")
    done = bakery("build", "lab.toml", cwd=tmp_path)
    assert done.returncode == 2
    line = "bakery: lab.toml:2: kernel_arg: no such key; did you mean 'kernel_args'?\n"
    assert done.stderr == line


def test_a_recipe_that_is_trusted_is_named_behind_the_option(bakery, tmp_path):
    done = bakery("build", "--allow-outside", "lab.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "bakery: lab.toml cannot be read: No such file or directory\n"


def test_nothing_is_published_unless_it_is_asked_for(bakery, image, tmp_path):
    path = recipe(tmp_path, image, '[[publish]]\ncloud = "nowhere"\n')
    done = bakery("build", path, env=NOWHERE)
    assert done.returncode == 0, done.stderr
    done = bakery("build", path, "--publish", env=NOWHERE)
    assert done.returncode == 1
    assert "no cloud is called 'nowhere'" in done.stderr
    assert (tmp_path / "lab" / "lab.manifest.json").exists()


def test_publishing_needs_a_place(bakery, image, tmp_path):
    for what in (recipe(tmp_path, image), image):
        done = bakery("build", what, "--publish", "-o", tmp_path / "out")
        assert done.returncode == 2
        assert "[[publish]]" in done.stderr
    assert not (tmp_path / "out").exists()
