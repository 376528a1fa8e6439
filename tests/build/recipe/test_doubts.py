"""What a recipe can say and cannot mean, without a file of TOML around it."""

import os

import msgspec
import pytest

from bakery.build.recipe.doubts import doubts, public_key
from bakery.build.recipe.schema import Document, File, KernelArgs, Scrub, Source
from bakery.openstack.glance.target import Target
from bakery.recovery.members import ID_LIMIT
from tests.build.recipe.test_read import PUBLIC_KEY

PLAIN = Document(source=Source(image="a"))


def told(folder, **changed):
    document = msgspec.structs.replace(PLAIN, **changed)
    return [(place, error.message) for place, error in doubts(document, folder, allow_outside=True)]


def test_what_can_be_meant_is_no_doubt(tmp_path):
    (tmp_path / "motd").touch()
    (tmp_path / "lab.pub").write_text(PUBLIC_KEY)
    files = [
        File(source="motd", path=f"/etc/{n}", mode=m) for n, m in (("a", "644"), ("b", "4755"))
    ]
    assert (
        told(
            tmp_path,
            source=Source(image="a b", sha256="0f" * 32),
            name="lab_1.0+x-y",
            output="out",
            scrub=Scrub(recovery="kept", public_key="lab.pub"),
            files=(
                *files,
                File(source="motd", path=f"/{'n' * 255}", owner=ID_LIMIT, group=ID_LIMIT),
            ),
            kernel_args=KernelArgs(append=("a=b",), delete=("quiet",)),
            publish=(Target(name="Lab", properties={"os": "x"}),),
        )
        == []
    )


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"source": Source(image="")}, ("source", "image")),
        ({"source": Source(image="a", sha256="0F" * 32)}, ("source", "sha256")),
        ({"source": Source(image="a", sha256="0f" * 32 + "0")}, ("source", "sha256")),
        ({"output": "a\n"}, ("output",)),
        ({"name": ""}, ("name",)),
        ({"scrub": Scrub(rules="none.toml")}, ("scrub", "rules")),
        ({"kernel_args": KernelArgs(append=("a", ""))}, ("kernel_args", "append", 1)),
        ({"kernel_args": KernelArgs(delete=("a", "b c"))}, ("kernel_args", "delete", 1)),
        ({"publish": (Target(), Target(name=" a"))}, ("publish", 1, "name")),
        ({"publish": (Target(store="ceph"),)}, ("publish", 0, "store")),
        (
            {"publish": (Target(properties={"a": "b", "kernel_id": "x"}),)},
            ("publish", 0, "properties", "kernel_id"),
        ),
    ],
)
def test_what_cannot_be_meant_has_its_place(tmp_path, changed, place):
    assert [found for found, _ in told(tmp_path, **changed)] == [place]


def test_recovery_and_key_go_together(tmp_path):
    recovery, key = ("scrub", "recovery"), ("scrub", "public_key")
    assert told(tmp_path, scrub=Scrub(recovery="a")) == [
        (recovery, "goes with public_key, which is missing")
    ]
    assert told(tmp_path, scrub=Scrub(public_key=PUBLIC_KEY)) == [
        (key, "goes with recovery, which is missing")
    ]
    wrong = Scrub(recovery="", public_key="none.pub")
    assert [place for place, _ in told(tmp_path, scrub=wrong)] == [recovery, key]


def test_each_file_has_its_own_doubts(tmp_path):
    (tmp_path / "motd").touch()
    os.mkfifo(tmp_path / "fifo")
    files = (
        File(source="motd", path="/a"),
        File(source="motd", path="/b", mode="64", owner=ID_LIMIT + 1, group=ID_LIMIT + 1),
        File(source="fifo", path="/a"),
        File(source="none", path="//a", mode="00644"),
        File(source="motd", path=f"/{'é' * 128}"),
        File(source="motd", path="/a/."),
        File(source="motd", path=""),
    )
    assert [place for place, _ in told(tmp_path, files=files)] == [
        *(("files", 1, "mode"), ("files", 1, "owner"), ("files", 1, "group")),
        *(("files", 2, "source"), ("files", 2, "path")),
        *(("files", 3, "source"), ("files", 3, "path"), ("files", 3, "mode")),
        *(("files", 4, "path"), ("files", 5, "path"), ("files", 6, "path")),
    ]


def test_a_key_is_spelled_where_no_file_has_its_name(tmp_path):
    assert public_key(tmp_path, PUBLIC_KEY).name == PUBLIC_KEY
    assert public_key(tmp_path, PUBLIC_KEY).parent.name == ""
    assert public_key(tmp_path, "lab.pub") == tmp_path / "lab.pub"
    (tmp_path / PUBLIC_KEY).touch()
    assert public_key(tmp_path, PUBLIC_KEY) == tmp_path / PUBLIC_KEY


def places(folder, *, allow_outside, **changed):
    document = msgspec.structs.replace(PLAIN, **changed)
    return [place for place, _ in doubts(document, folder, allow_outside=allow_outside)]


def test_a_recipe_of_somebody_elses_names_nothing_outside_its_folder(tmp_path):
    (tmp_path / "lab").mkdir()
    for name in ("motd", "lab/motd"):
        (tmp_path / name).touch()
    (tmp_path / "lab.pub").write_text(PUBLIC_KEY)
    scrub = Scrub(recovery="../kept", public_key="../lab.pub")
    files = (File(source="motd", path="/a"), File(source="../motd", path="/b"))
    outside = {"output": "/out", "scrub": scrub, "files": files, "source": Source(image="../a")}
    assert places(tmp_path / "lab", allow_outside=True, **outside) == []
    assert places(tmp_path / "lab", allow_outside=False, **outside) == [
        *(("output",), ("scrub", "recovery"), ("scrub", "public_key"), ("files", 1, "source")),
        ("source", "image"),
    ]


def test_what_stays_in_the_folder_is_taken_and_so_is_a_key_that_is_spelled(tmp_path):
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab/image").symlink_to("/images/a.qcow2")
    (tmp_path / "lab/kept").symlink_to("../kept")
    inside = {"output": "a/../out", "source": Source(image="image")}
    spelled = Scrub(recovery="k", public_key=PUBLIC_KEY)
    assert places(tmp_path / "lab", allow_outside=False, scrub=spelled, **inside) == []
    linked = Scrub(recovery="kept", public_key=PUBLIC_KEY)
    found = places(tmp_path / "lab", allow_outside=False, scrub=linked, **inside)
    assert found == [("scrub", "recovery")]
    (tmp_path / "lab.pub").write_text(PUBLIC_KEY)
    (tmp_path / "lab" / PUBLIC_KEY).symlink_to("../lab.pub")
    found = places(tmp_path / "lab", allow_outside=False, scrub=spelled, **inside)
    assert found[0] == ("scrub", "public_key")
