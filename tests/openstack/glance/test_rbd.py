import json

import pytest

from bakery.host.errors import BakeryError, MissingTool, UsageError
from bakery.host.run import CommandFailed
from bakery.openstack.glance import rbd
from tests.openstack.glance.ceph import FSID, Ceph

ID = "0f6a1c9e-58a1-5f6b-8c11-5a3f5d6b7c88"
NAME = f"images/{ID}"
URL = f"rbd://{FSID}/{NAME}/snap"
SIZE = 3 << 20


@pytest.fixture
def ceph(tmp_path, monkeypatch):
    made = Ceph(tmp_path / "ceph")
    monkeypatch.setenv("PATH", made.path)
    for name in rbd.CEPH_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return made


@pytest.fixture
def base(tmp_path):
    path = tmp_path / "tiny-base"
    path.write_bytes(b"b" * SIZE)
    return path


def put(base, store="rbd:images", progress=None):
    return rbd.parse(store).put(base, ID, progress)


def test_a_base_is_created_converted_snapshotted_and_protected_in_this_order(ceph, base):
    assert put(base) == URL
    target = f"rbd:{NAME}"
    assert ceph.calls() == [
        ["ceph", "fsid"],
        ["rbd", "snap", "ls", "--format", "json", NAME],
        ["rbd", "rm", "--no-progress", NAME],
        [
            "qemu-img",
            *["create", "-q", "-f", "raw", "-o", "cluster_size=8388608"],
            target,
            str(SIZE),
        ],
        [
            "qemu-img",
            *[
                "convert",
                "-n",
                "--target-is-zero",
                "-p",
                "-t",
                "writeback",
                "-W",
                "-m",
                "8",
                "-f",
                "raw",
                "-O",
                "raw",
            ],
            str(base),
            target,
        ],
        ["rbd", "snap", "create", f"{NAME}@snap"],
        ["rbd", "snap", "protect", f"{NAME}@snap"],
    ]
    assert (ceph.pool / NAME.replace("/", "+")).read_bytes() == base.read_bytes()


def test_the_user_and_the_conf_reach_every_program(ceph, base):
    put(base, "rbd:images:id=glance:conf=/etc/ceph/other.conf")
    for name, *words in ceph.calls():
        if name == "qemu-img":
            assert any(w == f"rbd:{NAME}:id=glance:conf=/etc/ceph/other.conf" for w in words)
        else:
            assert words[:4] == ["--id", "glance", "--conf", "/etc/ceph/other.conf"]


def test_the_variables_of_ceph_reach_every_program(ceph, base, monkeypatch):
    monkeypatch.setenv("CEPH_ARGS", "--id glance")
    put(base)
    assert ceph.environments() == [{"CEPH_ARGS": "--id glance"}] * len(ceph.calls())


def test_a_second_time_nothing_is_written(ceph, base):
    put(base)
    ceph.forget()
    assert put(base) == URL
    assert [call[:3] for call in ceph.calls()] == [["ceph", "fsid"], ["rbd", "snap", "ls"]]


@pytest.mark.parametrize("moment", ["qemu-img-create", "qemu-img-convert", "rbd-snap-create"])
def test_what_was_left_half_written_is_replaced(ceph, base, moment):
    ceph.fault(moment, "it broke")
    with pytest.raises(BakeryError, match="it broke"):
        put(base)
    ceph.mend()
    ceph.forget()
    assert put(base) == URL
    assert ["rbd", "rm", "--no-progress", NAME] in ceph.calls()
    assert "convert" in [call[1] for call in ceph.calls()]


def test_a_snapshot_that_was_not_protected_yet_is_protected_without_writing_again(ceph, base):
    ceph.fault("rbd-snap-protect", "it broke")
    with pytest.raises(BakeryError, match="it broke"):
        put(base)
    ceph.mend()
    ceph.forget()
    assert put(base) == URL
    assert not any(call[0] == "qemu-img" for call in ceph.calls())
    assert ceph.calls()[-1] == ["rbd", "snap", "protect", f"{NAME}@snap"]


def test_an_image_of_another_size_is_left_alone(ceph, base):
    put(base)
    base.write_bytes(b"b" * (SIZE + 512))
    with pytest.raises(BakeryError, match=f"holds {SIZE} bytes and the base has {SIZE + 512}"):
        put(base)


def test_what_was_put_is_removed_again(ceph, base):
    put(base)
    rbd.parse("rbd:images").remove(ID)
    assert list(ceph.pool.iterdir()) == []
    rbd.parse("rbd:images").remove(ID)


def test_progress_is_told_in_bytes(ceph, base):
    told = []
    put(base, progress=lambda done, whole: told.append((done, whole)))
    assert told[-1] == (SIZE, SIZE)


def test_a_relative_path_with_a_colon_is_no_protocol(ceph, base, monkeypatch):
    odd = base.rename(base.with_name("nbd:base"))
    monkeypatch.chdir(odd.parent)
    put(odd.relative_to(odd.parent))
    assert str(odd) in [word for call in ceph.calls() for word in call]


def test_a_pool_that_cannot_be_read_is_told_with_the_programs_words(ceph, base):
    ceph.fault("rbd-snap-ls", "rbd: error opening pool 'images': (1) Operation not permitted")
    with pytest.raises(BakeryError, match="Operation not permitted") as caught:
        put(base)
    assert "rbd ls images" in caught.value.hint


def test_an_image_that_another_writes_is_not_taken_from_it(ceph, base):
    ceph.fault("rbd-rm", "rbd: error: image still has watchers")
    with pytest.raises(BakeryError, match="still has watchers"):
        put(base)
    assert not any(call[0] == "qemu-img" for call in ceph.calls())


def test_a_qemu_img_without_the_rbd_driver_is_told_with_the_package(ceph, base):
    ceph.fault("qemu-img-create", "qemu-img: rbd:images/x: Unknown protocol 'rbd'")
    with pytest.raises(BakeryError, match="no rbd driver") as caught:
        put(base)
    assert "qemu-block-extra" in caught.value.hint


@pytest.mark.parametrize("program", ["rbd", "ceph"])
def test_a_missing_program_is_told_with_the_package(ceph, base, program, monkeypatch):
    (ceph.bin / program).unlink()
    monkeypatch.setattr("bakery.host.tools.SYSTEM_PATHS", ())
    with pytest.raises(MissingTool, match=program) as caught:
        put(base)
    assert "ceph-common" in caught.value.hint


@pytest.mark.parametrize("answer", ["", "no-uuid", "b2a5e2e6/../x"])
def test_an_answer_that_is_no_clusters_id_is_refused(ceph, base, answer):
    (ceph.bin / "ceph").write_text(f"#!/bin/sh\necho '{answer}'\n")
    with pytest.raises(BakeryError, match="not a cluster's id"):
        put(base)


ENDLESS = '[{"name": "snap", "size": 1e999, "protected": "true"}]'


@pytest.mark.parametrize(
    "answer", ["", "[", "[1]", '[{"name": "snap"}]', ENDLESS, '{"a": 1}', "1", "null"]
)
def test_an_answer_of_rbd_that_means_nothing_is_refused(ceph, base, answer):
    (ceph.bin / "rbd").write_text(f"#!/bin/sh\necho '{answer}'\n")
    with pytest.raises(BakeryError, match="in a way bakery does not know"):
        put(base)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rbd",
        "rbd:",
        "ceph:images",
        "rbd:images/other",
        "rbd:images@snap",
        "rbd:-p",
        "rbd:im ages",
        "rbd:images\\:id=x",
        "rbd:images:",
        "rbd:images:id",
        "rbd:images:id=",
        "rbd:images:id=a:id=b",
        "rbd:images:id=a@b",
        "rbd:images:conf=relative",
        "rbd:images:conf=/etc/a=b",
        "rbd:images:key=secret",
        "rbd:images:mon_host=198.51.100.1",
        "rbd:imäges",
        "rbd:images\n",
        "rbd:" + "i" * 129,
    ],
)
def test_what_could_mean_something_else_to_a_program_is_wrong_usage(text):
    with pytest.raises(UsageError):
        rbd.parse(text)


@pytest.mark.parametrize("image_id", ["", "x", f"{ID}:conf=/tmp/x", f"../{ID}", f"{ID}@snap"])
def test_an_id_that_is_no_uuid_never_reaches_a_program(ceph, base, image_id):
    with pytest.raises(BakeryError, match="not an image's id"):
        rbd.parse("rbd:images").put(base, image_id)
    assert ceph.calls() == []


def test_what_is_not_there_is_removed_already(ceph, base):
    rbd.parse("rbd:images").remove(ID)
    assert [call[1] for call in ceph.calls()] == ["snap", "rm"]


def test_a_snapshot_of_another_name_is_none_of_ours(ceph, base):
    put(base)
    state = (ceph.pool / NAME.replace("/", "+")).with_suffix(".snap")
    state.write_text(json.dumps({"name": "backup", "size": 1, "protected": "true"}))
    assert rbd.parse("rbd:images")._snapshot(NAME) is None


@pytest.mark.parametrize(
    ("told", "protected"), [("true", True), (True, True), ("false", False), (False, False)]
)
def test_rbd_tells_protection_as_a_word_or_a_truth(ceph, base, told, protected):
    put(base)
    state = (ceph.pool / NAME.replace("/", "+")).with_suffix(".snap")
    state.write_text(json.dumps({"name": "snap", "size": str(SIZE), "protected": told}))
    found = rbd.parse("rbd:images")._snapshot(NAME)
    assert found == rbd._Snapshot(SIZE, protected)


def test_another_failure_of_qemu_img_is_told_as_it_is(ceph, base):
    ceph.fault("qemu-img-convert", "qemu-img: no such luck")
    with pytest.raises(CommandFailed, match="no such luck"):
        put(base)


@pytest.mark.parametrize(
    ("text", "store"),
    [
        ("rbd:p", rbd.RbdStore("p")),
        ("rbd:p:id=u", rbd.RbdStore("p", "u")),
        ("rbd:p:conf=/c:id=u", rbd.RbdStore("p", "u", "/c")),
        (f"rbd:{'p' * 128}", rbd.RbdStore("p" * 128)),
    ],
)
def test_a_store_is_written_as_qemu_writes_it(text, store):
    assert rbd.parse(text) == store


@pytest.mark.parametrize("text", [f"rbd:{'p' * 129}", "rbd:p:id=u:id=v", "rbd:p:id=", "rbd:p:id"])
def test_a_store_that_says_too_much_or_too_little_is_wrong_usage(text):
    with pytest.raises(UsageError):
        rbd.parse(text)


def test_of_what_a_program_said_the_last_three_lines_are_told(ceph, base):
    ceph.fault("rbd-snap-ls", "one\ntwo\nthree\nfour\n")
    with pytest.raises(BakeryError) as caught:
        put(base)
    assert "two" in caught.value.message
    assert "one" not in caught.value.message.partition(": ")[2]
