"""One place says which engine serves, and which one can where another cannot."""

from pathlib import Path

import pytest

from bakery.host.errors import BakeryError
from bakery.host.report import silent
from bakery.image.engines import choose, direct, guestfs
from bakery.image.engines.base import LACKING, CannotServe, Capability, Removal
from bakery.image.engines.choose import EngineName, can, pick
from bakery.image.engines.direct import DirectEngine
from bakery.image.engines.guestfs import GuestfsEngine
from tests import tiny


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What keeps an engine from serving on this machine: nothing, until a test says so."""
    missing: dict[str, str] = {}
    monkeypatch.setattr(direct, "why_not", lambda: missing.get("direct"))
    monkeypatch.setattr(guestfs, "why_not", lambda: missing.get("guestfs"))
    return missing


def test_the_quick_one_is_taken_where_both_can():
    assert pick("auto") == ("direct", "needs no appliance", "")
    assert pick("auto", "edit").name == "direct"
    assert pick("auto", "scrub").name == "direct"


@pytest.mark.parametrize("need", ["resize", "keep", "restore"])
def test_what_takes_a_kernel_is_the_other_ones(need: Capability):
    picked = pick("auto", need)
    assert (picked.name, picked.obstacle) == ("guestfs", LACKING[need])
    assert LACKING[need] in picked.reason


def test_what_this_image_forbids_one_engine_another_does():
    picked = pick("auto", "edit", {"direct": "a shared block"})
    assert (picked.name, picked.obstacle) == ("guestfs", "a shared block")
    assert pick("auto", "edit", {"direct": ""}).name == "direct"


def test_the_engine_whose_session_is_open_is_asked_first():
    assert pick("auto", "scrub", first="guestfs") == ("guestfs", "needs no appliance", "")
    with pytest.raises(BakeryError, match=r"no engine can scrub this image: direct: b; guestfs: a"):
        pick("auto", "scrub", {"guestfs": "a", "direct": "b"})


def test_an_engine_that_is_asked_for_is_the_one_that_is_taken():
    assert pick("guestfs") == ("guestfs", "--engine guestfs", "")
    assert pick("direct", "edit").name == "direct"


@pytest.mark.parametrize(
    ("need", "obstacles", "reason"),
    [
        ("resize", {}, f"cannot edit this image: {LACKING['resize']}"),
        ("edit", {"direct": "a shared block"}, "cannot edit this image: a shared block"),
    ],
)
def test_one_that_is_asked_for_and_cannot_is_told_with_the_one_that_can(
    need: Capability, obstacles: dict[EngineName, str], reason: str
):
    with pytest.raises(BakeryError) as raised:
        pick("direct", need, obstacles)
    assert raised.value.message == f"the direct engine {reason}"
    assert raised.value.hint == "the guestfs engine can: --engine auto"


def test_the_other_is_not_named_where_it_cannot_either(machine: dict[str, str]):
    machine["guestfs"] = "guestfish not installed"
    with pytest.raises(BakeryError) as raised:
        pick("direct", "resize")
    assert raised.value.hint == "bakery doctor"


def test_what_this_machine_lacks_is_told(machine: dict[str, str]):
    machine["direct"] = "no FUSE"
    picked = pick("auto")
    assert (picked.name, picked.obstacle) == ("guestfs", "no FUSE")
    assert picked.reason == "the direct engine cannot serve here: no FUSE"
    with pytest.raises(BakeryError, match="the direct engine cannot serve here: no FUSE"):
        pick("direct")
    machine["guestfs"] = "no QEMU"
    with pytest.raises(BakeryError, match="no engine can serve here: direct: no FUSE; guestfs: no"):
        pick("auto")


@pytest.mark.parametrize("name", choose.IN_ORDER)
def test_what_is_said_of_an_engine_is_what_it_says_of_itself(name: EngineName):
    own = {"direct": DirectEngine.capabilities, "guestfs": GuestfsEngine.capabilities}
    assert {need for need in LACKING if can(name, need)} == own[name]


def test_what_an_engine_has_no_capability_for_it_refuses(tmp_path: Path):
    (tmp_path / "work").mkdir()
    image = tiny.make(tmp_path)
    with (
        (tmp_path / "tar").open("w+b") as tar,
        DirectEngine(image, "qcow2", tmp_path / "work", silent()) as engine,
    ):
        with pytest.raises(CannotServe, match=LACKING["restore"]):
            engine.restore(tar, ())
        with pytest.raises(CannotServe, match=LACKING["keep"]):
            engine.scrub(Removal((), (), (), ()), tar)


def test_an_appliance_is_told_the_size_of_the_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    made: list[tuple[object, ...]] = []
    monkeypatch.setattr(choose, "GuestfsEngine", lambda *words: made.append(words))
    report = silent()
    choose.open_engine("guestfs", tmp_path / "a", "raw", 8 << 40, tmp_path, report)
    assert made == [(tmp_path / "a", "raw", tmp_path, report, 8 << 40, None)]
