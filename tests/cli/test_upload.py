"""The command line of `bakery upload`: what it refuses before anyone is asked."""

import json

import pytest

from tests.cloud import publishing


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
