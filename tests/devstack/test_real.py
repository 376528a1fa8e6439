"""devstack's own code reads what bakery writes, where BAKERY_DEVSTACK names its source tree."""

import os
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bakery.devstack import metaconf
from bakery.host.errors import BakeryError
from bakery.openstack.ironic import params, releases
from bakery.system import kargs
from tests.openstack.ironic.test_params import BLUEPRINT, a_manifest, read_by_oslo_config

TREE = os.environ.get("BAKERY_DEVSTACK", "")
pytestmark = pytest.mark.skipif(not TREE, reason="BAKERY_DEVSTACK names no devstack")

SCRIPT = """
set +u
source "$TREE/inc/ini-config"; source "$TREE/inc/meta-config"
warn() { echo "warn: $*"; }; die() { echo "die: $*"; exit 1; }
merge_config_group "$1" post-config
"""
HEADS = [
    "[[post-config|$IRONIC_CONF_FILE]]",
    "[[post-config | $X]]",
    "[[a|b]]",
    "[[local|localrc]]",
]
LINES = [
    *HEADS,
    "[pxe]",
    "[a b]",
    "x = 1",
    " y=2",
    "z",
    "# c",
    "  # c",
    "",
    "x=3",
    "w = a  b",
    "[[x]]",
]


def merged(text, folder):
    """ironic.conf after devstack's merge of a local.conf, in an empty folder."""
    (folder / "empty").mkdir(exist_ok=True)
    source, target = folder / "local.conf", folder / "ironic.conf"
    source.write_text(text)
    target.write_text("")
    env = os.environ | {"TREE": TREE, "IRONIC_CONF_FILE": str(target)}
    subprocess.run(
        ["bash", "-c", SCRIPT, "bash", source],
        env=env,
        cwd=folder / "empty",
        check=True,
        capture_output=True,
    )
    return target.read_text()


@pytest.mark.parametrize("release", ["juno", "wallaby", "2026.2"])
def test_devstack_gives_ironic_the_builds_arguments(release, tmp_path):
    text = params.render("devstack", params.Request(a_manifest(BLUEPRINT.split()), release))
    place = releases.place("conf", release)
    assert read_by_oslo_config(merged(text + "\n", tmp_path), tmp_path, place) == BLUEPRINT


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12))
def test_any_argument_that_is_not_refused_arrives(tmp_path_factory, arg):
    try:
        request = params.Request(a_manifest(kargs.parse(arg + " ro")), "2026.1")
        text = params.render("devstack", request)
    except BakeryError:
        return
    folder = tmp_path_factory.mktemp("merge")
    read = read_by_oslo_config(
        merged(text + "\n", folder), folder, releases.place("conf", "2026.1")
    )
    assert read == arg + " ro"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(LINES), max_size=8))
def test_the_sections_are_cut_as_devstack_cuts_them(tmp_path_factory, lines):
    text = "\n".join(lines)
    path = tmp_path_factory.mktemp("cut") / "local.conf"
    path.write_text(text + "\n")
    script = 'source "$TREE/inc/meta-config"; get_meta_section "$1" post-config "$2"'
    done = subprocess.run(
        ["bash", "-c", script, "bash", path, "$IRONIC_CONF_FILE"],
        env=os.environ | {"TREE": TREE},
        check=True,
        capture_output=True,
        text=True,
    )
    found = metaconf.parse(text).of("post-config", "$IRONIC_CONF_FILE")
    assert [line.text for one in found for line in one.lines] == done.stdout.splitlines()
