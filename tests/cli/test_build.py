"""`bakery build` and `bakery plan` on the command line: the entry meant, and the folder."""

import json
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from click.testing import CliRunner

from bakery.build.spec import Options
from bakery.cli.build import _bytes
from bakery.cli.build import command as build_command
from bakery.disk.extents import Extent
from bakery.manifest.manifest import Artifact, Build
from tests import tiny
from tests.cli.inside import document, told, usage
from tests.devstack.builds import a_build


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return tiny.make(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def recipe(image, tmp_path):
    def of(number):
        path = tmp_path / "lab.toml"
        path.with_name("image").unlink(missing_ok=True)
        path.with_name("image").symlink_to(image)
        path.write_text(f'deployment = {number}\n[source]\nimage = "image"\n')
        return path

    return of


@pytest.mark.parametrize("command", ["build", "plan"])
def test_a_deployment_that_the_image_has_not_is_refused_by_every_way_in(
    bakery, image, recipe, command, tmp_path
):
    for words in (
        (image, "-o", tmp_path / "out", "--deployment", "1"),
        (recipe(1),),
    ):
        done = bakery(command, *words, "-q")
        assert done.returncode == 1
        assert done.stderr.startswith(
            "bakery: there is no deployment 1: the image has 1 boot entry, 0: Tiny (tiny)\n"
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["build", "plan"])
def test_a_negative_deployment_is_wrong_usage(bakery, image, recipe, command, tmp_path):
    done = bakery(command, image, "-o", tmp_path / "out", "--deployment", "-1")
    assert done.returncode == 2
    assert "Invalid value for '--deployment': -1" in done.stderr
    done = bakery(command, recipe(-1), "-q")
    assert done.returncode == 2
    assert "deployment: expected a whole number from 0, not -1" in done.stderr
    assert not (tmp_path / "out").exists()


def build(image: Path, *words: str):
    return CliRunner().invoke(build_command, [str(image), *words], standalone_mode=False)


def test_without_a_folder_it_builds_in_one_named_after_the_image(image, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = build(image, "--json")
    first = json.loads(done.stdout)
    assert (first["directory"], first["fresh"]) == ("tiny", True)
    assert first["manifest"]["name"] == "tiny"
    assert "published" not in first
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]
    assert json.loads(build(image, "--json").stdout) == first | {"fresh": False}


def test_the_folder_asked_for_is_the_one(image, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = build(image, "-o", "there", "--layout", "disk")
    assert done.exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert (tmp_path / "there/tiny-base").stat().st_size == tiny.DISK_SIZE
    assert "there" in done.stdout


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1024**2 - 1, "1024 KiB"),
        (1024**2, "1 MiB"),
        (5 << 29, "2.5 GiB"),
        (3 << 40, "3072 GiB"),
    ],
)
def test_a_size_is_told_in_the_unit_that_suits_it(count, words):
    assert _bytes(count) == words


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A build that is only told of; what was asked for, and whether it is new."""
    manifest = a_build()
    base = msgspec.structs.replace(manifest.artifacts["base"], extents=(Extent(0, 512),) * 3)
    sbom = {"spdx": Artifact(size_bytes=2048, digest="d")}
    manifest = msgspec.structs.replace(
        manifest, artifacts=manifest.artifacts | {"base": base}, sbom=sbom
    )
    asked = SimpleNamespace(calls=[], fresh=True, manifest=manifest)

    def make(image, options, output, _report, means):
        asked.calls.append((image, options, output))
        asked.unlocked = means.unlocked
        return Build(tmp_path, asked.manifest), asked.fresh

    monkeypatch.setattr("bakery.build.build.build", make)
    return asked


def test_what_was_built_is_told_file_by_file(made, tmp_path):
    (tmp_path / "fedora-atomic-base.zst").write_bytes(b"x" * 10)
    lines = told("build", "a.qcow2").splitlines()
    assert lines[:5] == [
        f"{tmp_path}/fedora-atomic-kernel  1 B, data 0 B",
        f"{tmp_path}/fedora-atomic-ramdisk  1 B, data 0 B",
        f"{tmp_path}/fedora-atomic-base  6 GiB, data 1.5 KiB",
        f"{tmp_path}/fedora-atomic-base.zst  10 B",
        f"{tmp_path}/{made.manifest.sbom_file('spdx')}  2 KiB",
    ]
    assert lines[5].startswith("kernel arguments: nofb ") and len(lines) == 6


def test_one_that_is_there_already_is_said_to_be(made, tmp_path):
    made.fresh = False
    made.manifest = msgspec.structs.replace(made.manifest, kernel_args=())
    lines = told("build", "a.qcow2").splitlines()
    assert lines[0] == f"{tmp_path} is up to date: nothing to do"
    assert "kernel arguments" not in lines[-1]


def test_the_options_are_what_is_built(made):
    words = ("--name", "n", "--layout", "lv", "--engine", "direct", "--deployment", "0")
    more = ("--karg-append", "a", "--karg-append", "b", "--karg-delete", "c", "--sha256")
    last = ("--compress", "zstd", "--sbom", "spdx", "--sbom", "cyclonedx", "--sbom", "spdx")
    told("build", "x/a.qcow2", *words, *more, *last, "-o", "out")
    told("build", "x/a.qcow2")
    (image, options, output), (_, usual, usually) = made.calls
    assert (image, output, usually) == (Path("x/a.qcow2"), Path("out"), Path("a"))
    assert options == Options(
        name="n", layout="lv", engine="direct", deployment=0, karg_append=("a", "b"),
        karg_delete=("c",), sha256=True, compress="zstd", sbom=("cyclonedx", "spdx"),
    )  # fmt: skip
    assert usual == Options()


def test_an_image_without_a_stem_gets_a_folder_all_the_same(made):
    told("build", "/")
    assert made.calls[0][2] == Path("build")


def test_publishing_needs_a_recipe_that_says_where(made):
    assert "--publish: a.qcow2 has no [[publish]] section" in usage("build", "a.qcow2", "--publish")
    assert made.calls == []


def test_a_recipe_is_published_where_it_says_and_only_when_asked(
    made, image, tmp_path, monkeypatch
):
    places = []
    monkeypatch.setattr(
        "bakery.cli.build.publish_build", lambda _out, _d, place: places.append(place)
    )
    path = tmp_path / "lab.toml"
    (tmp_path / "image").symlink_to(image)
    path.write_text(
        '[source]\nimage = "image"\n[[publish]]\ncloud = "a"\n[[publish]]\ncloud = "b"\n'
    )
    assert "published" not in document("build", path)
    assert places == []
    assert document("build", path, "--publish")["published"] == [None, None]
    assert [place.cloud for place in places] == ["a", "b"]


def test_beside_a_recipe_only_the_place_and_the_engine_may_be_given(made, recipe):
    path = recipe(0)
    assert "--layout cannot be used with a recipe" in usage("build", path, "--layout", "lv")
    told("build", path, "--engine", "guestfs", "-o", "there", "-q")
    told("build", path)
    (_, options, output), (_, usual, usually) = made.calls
    assert (options.engine, usual.engine, output) == ("guestfs", "auto", Path("there"))
    assert usually != output


def test_the_key_of_a_luks_is_read_from_a_file_of_ones_own_alone(made, tmp_path):
    key, image = tmp_path / "key", tmp_path / "a.qcow2"
    key.write_text("correct horse\n")
    key.chmod(0o644)
    refused = build(image, "--luks-key-file", str(key), "-q")
    assert "other users can read the secret" in str(refused.exception)
    key.chmod(0o600)
    build(image, "--luks-key-file", str(key), "-q")
    assert made.unlocked
    build(image, "-q")
    assert not made.unlocked
