"""The command line of `bakery upload`: what it refuses before anyone is asked."""

import json

import pytest

from bakery.openstack.glance.target import Target
from tests.cli.inside import ask, document, told
from tests.openstack.glance import publishing, standin


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    return publishing.made(tmp_path_factory.mktemp("cli") / "made")


NOWHERE = {"OS_CLIENT_CONFIG_FILE": "/dev/null", "OS_CLOUD": "nowhere"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--property", "novalue"), "'novalue' is not of the form K=V"),
        (("--property", "kernel_id=a"), "the property kernel_id is not for --property"),
        (("--property", "bakery_role=base"), "the property bakery_role is not for --property"),
        (("--name", "a\nb"), "U+000A"),
        (("--name", "x" * 300), "longer than"),
        (("--name", " "), "a blank"),
        (("--compress",), "an ami is raw"),
        (("--disk-format", "qcow2"), "an ami is raw"),
        (("--as", "partition", "--disk-format", "raw", "--compress"), "--compress needs"),
        (("--store", "rbd:pool", "--compress"), "--store writes raw"),
        (("--store", "ceph"), "ceph"),
        (("--as", "iso"), "iso"),
    ],
)
def test_what_cannot_mean_anything_is_wrong_usage(bakery, build, options, words):
    done = bakery("upload", build, *options, env=NOWHERE)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failure_is_a_document_with_json(bakery, build):
    done = bakery("upload", build, "--json", env=NOWHERE)
    assert done.returncode == 1
    assert "no cloud is called 'nowhere'" in json.loads(done.stdout)["error"]


def test_a_file_that_was_changed_is_told_before_the_cloud_is(bakery, tmp_path):
    folder = publishing.made(tmp_path / "made")
    (folder / "made-kernel").write_bytes(b"other")
    done = bakery("upload", folder, env=NOWHERE)
    assert done.returncode == 1
    assert "made-kernel is not what its manifest describes" in done.stderr
    assert "nowhere" not in done.stderr


def test_help_names_every_shape(bakery):
    done = bakery("upload", "--help")
    assert done.returncode == 0
    for word in ("ami", "partition", "whole-disk", "--replace", "--store", "--cloud"):
        assert word in done.stdout


@pytest.fixture
def glance(monkeypatch):
    """An image service in this process."""
    with standin.running() as (images, _):
        monkeypatch.setattr(type(images), "of_cloud", lambda _cloud: images)
        yield images


def test_what_was_sent_is_told_once_and_then_that_it_is_there(glance, build):
    lines = told("upload", build, "--property", "a=b=c", "--property", "d=").splitlines()
    roles = [line.split()[:2] for line in lines]
    assert roles == [["kernel", "aki"], ["ramdisk", "ari"], ["base", "ami"]]
    assert lines[0].endswith("  made-kernel  sent 600 bytes") and "sent" in lines[2]
    base = next(image for image in glance.published() if image.role == "base")
    assert (base.properties["a"], base.properties["d"]) == ("b=c", "")
    again = told("upload", build, "--property", "a=b=c", "--property", "d=").splitlines()
    assert len(again) == 3 and all(line.endswith("  up to date") for line in again)
    other = told("upload", build, "--property", "a=e").splitlines()
    assert other[2].endswith("  updated") and other[0].endswith("  up to date")


def test_another_of_that_name_is_noted_and_hidden_on_request(glance, build, tmp_path):
    told("upload", build, "--name", "mine")
    other = publishing.made(tmp_path / "other", name="other", data=publishing.MIB, size=8 << 20)
    lines = told("upload", other, "--name", "mine", "--public").splitlines()
    assert lines[-1].startswith("note: other images have this name: ")
    answer = document("upload", other, "--name", "mine", "--replace")
    assert len(answer["hidden"]) == 1 and answer["shape"] == "ami"
    third = publishing.made(tmp_path / "third", name="third", data=publishing.MIB, size=8 << 20)
    assert any(
        line.startswith("hidden  ")
        for line in told("upload", third, "--name", "mine", "--replace").splitlines()
    )


@pytest.mark.parametrize(
    ("words", "visibility"),
    [((), None), (("--public",), "public"), (("--shared",), "shared"), (("--private",), "private")],
)
def test_the_options_are_what_is_asked_for(build, monkeypatch, words, visibility):
    asked = []
    monkeypatch.setattr("bakery.cli.upload.publish_build", lambda *words: asked.append(words[2]))
    ask("upload", build, "--as", "partition", "--disk-format", "qcow2", "--compress", *words)
    assert asked == [
        Target(
            cloud=None, shape="partition", name="", visibility=visibility, properties={},
            disk_format="qcow2", compress=True, replace=False, store="",
        )
    ]  # fmt: skip
