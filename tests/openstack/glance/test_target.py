import pytest

from bakery.host.errors import BakeryError, UsageError
from bakery.openstack.glance.rbd import RbdStore
from bakery.openstack.glance.target import Target


def test_the_options_are_those_of_the_target():
    options = Target(shape="partition", name="n", compress=True, properties={"a": "b"}).options()
    assert (options.shape, options.name, options.compress) == ("partition", "n", True)
    assert (options.disk_format, options.properties) == ("", {"a": "b"})
    assert Target(disk_format="qcow2").options().disk_format == "qcow2"


def test_a_store_takes_raw_bytes_alone():
    assert Target(store="rbd:p").options().disk_format == "raw"
    assert Target(store="rbd:p", disk_format="raw").options().disk_format == "raw"
    for wrong in (
        Target(store="rbd:p", disk_format="qcow2"),
        Target(store="rbd:p", compress=True),
        Target(store="rbd:p", disk_format="raw", compress=True),
    ):
        with pytest.raises(UsageError, match="--store writes raw"):
            wrong.options()


def test_the_store_is_read_where_one_is_named():
    assert Target().rbd() is None
    assert Target(store="rbd:images").rbd() == RbdStore("images")
    with pytest.raises(UsageError):
        Target(store="nfs:images").rbd()


@pytest.mark.parametrize(
    ("target", "layout"),
    [
        *((Target(), None), (Target(), "disk"), (Target(), "pv"), (Target(shape="ami"), None)),
        *((Target(shape="ami"), "lv"), (Target(shape="whole-disk"), "disk")),
        *((Target(compress=True), "disk"), (Target(disk_format="qcow2"), "disk")),
        *((Target(compress=True), None), (Target(shape="partition", compress=True), "pv")),
    ],
)
def test_what_a_build_can_become_is_let_pass(target, layout):
    target.check(layout)


@pytest.mark.parametrize(
    ("target", "layout", "words"),
    [
        (Target(shape="ami"), "disk", "cannot be published as ami"),
        (Target(shape="whole-disk"), "pv", "cannot be published as whole-disk"),
        (Target(compress=True), "pv", "an ami is raw"),
        (Target(shape="ami", disk_format="qcow2"), None, "an ami is raw"),
        (Target(disk_format="raw", compress=True), "disk", "--compress needs --disk-format qcow2"),
        (Target(store="rbd:p", compress=True), None, "--store writes raw"),
    ],
)
def test_what_it_cannot_is_refused(target, layout, words):
    with pytest.raises(BakeryError, match=words):
        target.check(layout)
