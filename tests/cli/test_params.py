"""`bakery params` on the command line: which options go with which form."""

import pytest

from tests.cli.inside import ask, document, told, usage
from tests.devstack.builds import a_build, put


@pytest.fixture
def build(tmp_path):
    return put(tmp_path / "build", a_build())


def test_the_arguments_are_told_for_a_consumer_and_what_to_mind_beside(build):
    assert told("params", build, "--for", "ironic-conf", "--release", "yoga").startswith("[pxe]\n")
    answer = document("params", build, "--for", "json")
    assert answer["form"] == "json" and answer["text"]
    assert told("params", build, "--for", "node", "--release", "yoga").endswith(" NODE\n")
    said = told("params", build, "--for", "node", "--node", "n-1", "--release", "yoga")
    assert "n-1" in said and "NODE" not in said


@pytest.mark.parametrize(
    "words", [("--release", "yoga"), ("--boot", "pxe"), ("--deploy", "netboot")]
)
@pytest.mark.parametrize("form", ["glance", "pxelinux", "ipxe", "grub", "json"])
def test_what_is_ironics_goes_with_ironics_forms(build, words, form):
    assert "go with --for ironic-conf, devstack, node" in usage(
        "params", build, "--for", form, *words
    )


@pytest.mark.parametrize("form", ["ironic-conf", "devstack", "node"])
def test_ironics_forms_take_them(build, form):
    words = ("--release", "yoga", "--boot", "pxe", "--deploy", "netboot")
    assert ask("params", build, "--for", form, *words).exception is None


@pytest.mark.parametrize("form", ["ironic-conf", "devstack", "grub"])
def test_a_node_goes_with_a_node(build, form):
    assert "--node goes with --for node" in usage("params", build, "--for", form, "--node", "n")


def test_a_consumer_has_to_be_named(build):
    assert "--for" in usage("params", build)


def test_what_to_mind_is_said(tmp_path):
    whole = put(tmp_path / "build", a_build("disk"))
    done = ask("params", whole, "--for", "ironic-conf", "--release", "yoga")
    assert "reaches only the deploy ramdisk" in done.stderr
    assert "reaches only the deploy ramdisk" not in done.stdout
