"""`bakery build --sbom`: documents that their own libraries find right, the same each time."""

import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from tests import tiny
from tests.build.sbom import databases

RELEASE = b'ID=tiny\nVERSION_ID="7"\n'
BOTH = ("--sbom", "spdx", "--sbom", "cyclonedx")


@pytest.fixture(scope="module")
def debian(tmp_path_factory) -> Path:
    files = {"etc/os-release": RELEASE, "var/lib/dpkg/status": databases.STATUS}
    return tiny.make(tmp_path_factory.mktemp("deb"), root=dict(tiny.ROOT) | files)


@pytest.fixture(scope="module")
def fedora(tmp_path_factory) -> Path:
    (database,) = databases.rpm(tmp_path_factory.mktemp("rpm")).iterdir()
    root = {name: data for name, data in tiny.ROOT.items() if name != "etc/os-release"}
    root["usr/lib/os-release"] = RELEASE
    root["usr/lib/sysimage/rpm/rpmdb.sqlite"] = database.read_bytes()
    return tiny.make(tmp_path_factory.mktemp("fedora"), root=root, name="fedora")


def documents(folder: Path, name: str = "tiny") -> tuple[dict[str, Any], dict[str, Any]]:
    """Both documents, held against the schemas of their libraries."""
    spdx, cyclonedx = folder / f"{name}.spdx.json", folder / f"{name}.cdx.json"
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(cyclonedx.read_text()) is None
    assert validate_full_spdx_document(parse_file(str(spdx))) == []
    return json.loads(spdx.read_text()), json.loads(cyclonedx.read_text())


def test_debian_packages_stand_in_both(bakery, debian, tmp_path):
    done = bakery("build", debian, "-o", tmp_path / "o", *BOTH, "--json")
    assert done.returncode == 0, done.stderr
    spdx, cyclonedx = documents(tmp_path / "o")
    url = "pkg:deb/tiny/libc6@2.36-9%2Bdeb12u7?arch=amd64&distro=tiny-7"
    assert [c["name"] for c in cyclonedx["components"]] == ["base-files", "libc6"]
    assert cyclonedx["components"][1]["purl"] == url
    system, _, libc = spdx["packages"]
    assert (system["name"], system["versionInfo"]) == ("tiny", "7")
    assert (libc["name"], libc["licenseDeclared"]) == ("libc6", "NOASSERTION")
    assert libc["sourceInfo"] == "built from glibc 2.36-9+deb12u7"
    assert [ref["referenceLocator"] for ref in libc["externalRefs"]] == [url]
    told = json.loads(done.stdout)["manifest"]
    assert system["sourceInfo"] == f"image {told['source']['digest']}"
    assert told["sbom"]["spdx"]["size_bytes"] == (tmp_path / "o/tiny.spdx.json").stat().st_size
    assert spdx["creationInfo"]["created"] == "1970-01-01T00:00:00Z"


def test_rpm_packages_have_their_licence(bakery, fedora, tmp_path):
    done = bakery("build", fedora, "-o", tmp_path / "o", *BOTH)
    assert done.returncode == 0, done.stderr
    spdx, cyclonedx = documents(tmp_path / "o", "fedora")
    _, hello, world = spdx["packages"]
    assert hello["licenseDeclared"] == "GPL-2.0-or-later AND MIT"
    assert world["licenseDeclared"] == "NOASSERTION"
    assert world["licenseComments"] == "the package says: GPLv2+ and Redistributable"
    assert hello["supplier"] == "Organization: Bakers"
    first, second = cyclonedx["components"]
    assert first["purl"] == "pkg:rpm/tiny/hello@1.0-3?arch=noarch&distro=tiny-7&epoch=2"
    assert first["licenses"] == [{"expression": "GPL-2.0-or-later AND MIT"}]
    assert second["licenses"] == [{"license": {"name": "GPLv2+ and Redistributable"}}]
    assert spdx["creationInfo"]["created"] > "2023"  # when the younger of them was built


@pytest.mark.parametrize("image", ["debian", "fedora"])
def test_two_builds_give_equal_bytes(bakery, image, tmp_path, request):
    path = request.getfixturevalue(image)
    for folder in ("a", "b"):
        assert bakery("build", path, "-o", tmp_path / folder, *BOTH).returncode == 0
    for kind in ("spdx", "cdx"):
        name = f"{path.stem}.{kind}.json"
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_time_is_the_one_that_is_told(bakery, debian, tmp_path):
    for seconds, time in (("86400", "1970-01-02T00:00:00Z"), ("172800", "1970-01-03T00:00:00Z")):
        env = {"SOURCE_DATE_EPOCH": seconds}
        assert bakery("build", debian, "-o", tmp_path / "o", *BOTH, env=env).returncode == 0
        spdx, cyclonedx = documents(tmp_path / "o")
        assert spdx["creationInfo"]["created"] == time
        assert cyclonedx["metadata"]["timestamp"] == time.replace("Z", "+00:00")
    wrong = {"SOURCE_DATE_EPOCH": "yesterday"}
    done = bakery("build", debian, "-o", tmp_path / "w", *BOTH, env=wrong)
    assert (done.returncode, "'yesterday' is not a number" in done.stderr) == (2, True)


def test_a_second_build_has_nothing_to_do_and_one_without_takes_them_away(bakery, debian, tmp_path):
    out = tmp_path / "o"
    assert bakery("build", debian, "-o", out, *BOTH).returncode == 0
    again = bakery("build", debian, "-o", out, *BOTH)
    assert "nothing to do" in again.stdout
    less = bakery("build", debian, "-o", out, "--sbom", "spdx", "-v")
    assert "base: done" not in less.stderr
    assert sorted(path.name for path in out.glob("*.json")) == [
        "tiny.manifest.json",
        "tiny.spdx.json",
    ]
    assert bakery("build", debian, "-o", out).returncode == 0
    assert [path.name for path in out.glob("*.json")] == ["tiny.manifest.json"]


def test_a_recipe_asks_for_them_as_well(bakery, debian, tmp_path):
    recipe = tmp_path / "lab.toml"
    recipe.write_text(f'sbom = ["spdx", "cyclonedx"]\n[source]\nimage = "{debian}"\n')
    assert bakery("build", recipe, "--allow-outside").returncode == 0
    documents(tmp_path / "lab")
    recipe.write_text(f'sbom = ["spdy"]\n[source]\nimage = "{debian}"\n')
    done = bakery("build", recipe, "--allow-outside")
    assert done.returncode == 2
    assert "lab.toml:1: sbom: expected 'cyclonedx' or 'spdx', not 'spdy'; did" in done.stderr


def test_without_a_database_there_is_no_build(bakery, tmp_path):
    image = tiny.make(tmp_path)
    done = bakery("build", image, "-o", tmp_path / "o", *BOTH)
    assert done.returncode == 1
    assert "no package database in /dev/sda2:/: neither dpkg's in /var/lib/dpkg" in done.stderr
    assert not (tmp_path / "o").exists()


def test_the_library_that_is_missing_is_named_with_the_extra(bakery, debian, tmp_path):
    hidden = tmp_path / "hidden" / "spdx_tools"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ModuleNotFoundError(name='spdx_tools')\n")
    env = {"PYTHONPATH": str(hidden.parent)}
    done = bakery("build", debian, "-o", tmp_path / "o", "--sbom", "spdx", env=env)
    assert done.returncode == 1
    assert "--sbom spdx needs the Python package spdx_tools" in done.stderr
    assert "bakery[sbom]" in done.stderr


@pytest.mark.slow
def test_a_real_debian_is_told_whole(bakery, sample, tmp_path):
    done = bakery("build", sample("plain"), "-o", tmp_path / "o", *BOTH, "--engine", "direct")
    assert done.returncode == 0, done.stderr
    _, cyclonedx = documents(tmp_path / "o", "plain")
    names = {component["name"] for component in cyclonedx["components"]}
    assert {"libc6", "systemd", "linux-image-amd64"} <= names
