"""Systems over several volumes, with a secret of every rule in every place it can stand.

None is passed over, and of none a byte is left. By default each form of name, each place that says
a name, each kind of volume and each secret occurs with some of the others; `full` has all of them
with each other.
"""

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bakery.build.scrub import rules
from tests.build.scrub import planted, volumes
from tests.build.scrub.volumes import (
    ALL,
    HOMES,
    OF_FILESYSTEMS,
    OF_GROUPS,
    OF_PARTITIONS,
    Made,
    Share,
    Volume,
)
from tests.conftest import Bakery

POINTS = ("/home", "/var", "/srv", "/data/people", "/var/tmp")
SECRETS = 300


def parts(names: tuple[str, ...], saids: tuple[Any, ...], **more: Any) -> tuple[Volume, ...]:
    """A root and volumes at all points, names and places taken in turn."""
    turns = zip(POINTS, itertools.cycle(names), itertools.cycle(saids), strict=False)
    return Volume("", **more), *(Volume(p, name=n, said=s, **more) for p, n, s in turns)


PLAIN = {
    "fstab": parts(OF_PARTITIONS[:5], ("fstab",)),
    "units": parts(OF_PARTITIONS[5:10], ("unit", "drop-in")),
    "arguments": parts(OF_PARTITIONS[10:], ("argument",)),
    "types": parts(("UUID",), ("type", "type", "type", "fstab", "type")),
}
"""All of ext4 in partitions, which is scrubbed without an appliance."""
MIXED = (
    Volume("", where="lv"),
    Volume("/boot/efi", "vfat"),
    Volume("/var", "xfs", where="lv", name="dm-name", said="unit"),
    Volume("/home", "btrfs", where="subvolume", name="LABEL"),
    Volume("/data/people", "btrfs", where="subvolume", name="by-uuid", said="drop-in"),
    Volume("/srv", said="type"),
)
"""One of each: of LVM, of btrfs, of xfs and of FAT."""
GROUP = parts(OF_GROUPS[:5], ("fstab", "unit"), where="lv")
BTRFS = parts(OF_FILESYSTEMS, ("fstab", "unit", "argument"), kind="btrfs", where="subvolume")


# A layout is planted, scrubbed and cached by one process.
pytestmark = pytest.mark.xdist_group("volumes")

LAYOUTS = PLAIN | {"mixed": MIXED, "LVM": GROUP, "btrfs": BTRFS}
# What an appliance takes out of each by itself; "mixed" has both, and xfs, and FAT.
WHOLE = [
    pytest.param(name, marks=[pytest.mark.slow, pytest.mark.full])
    for name in ("mixed", "LVM", "btrfs")
]


@dataclass
class Case:
    """What was planted, what a scrub told of it, and the new image."""

    made: Made
    told: dict[str, Any]
    scrubbed: Path


@pytest.fixture(scope="module")
def cases(bakery: Bakery, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Case]:
    """A layout's case, made once."""

    def scrubbed(name: str) -> Case:
        folder = tmp_path_factory.mktemp(name)
        share = Share([*PLAIN].index(name), len(PLAIN)) if name in PLAIN else Share(0, 4)
        made = volumes.make(folder, LAYOUTS[name], ALL if name in ("LVM", "btrfs") else share)
        done = bakery("scrub", made.image, "-o", folder / "out.raw", "--json", "-v")
        assert done.returncode == 0, done.stderr
        assert ("starts under" in done.stderr) == (name not in PLAIN), "an appliance is started"
        return Case(made, json.loads(done.stdout), folder / "out.raw")

    return cache(scrubbed)


@pytest.fixture(
    params=[*PLAIN, pytest.param("mixed", marks=[pytest.mark.slow, pytest.mark.full]), *WHOLE]
)
def case(request: pytest.FixtureRequest, cases: Callable[[str], Case]) -> Case:
    return cases(request.param)


def assert_told(told: dict[str, Any], made: Made) -> None:
    """Every secret is told of by its rule, in its volume, by itself or with its folder."""
    rules = {(file["device"], file["path"]): file["rule"] for file in told["files"]}
    for one in made.planted:
        above = [one.path, *map(str, Path(one.path).parents)]
        taken = [rules[one.device, path] for path in above if (one.device, path) in rules]
        assert one.secret.rule in taken, (one.device, one.path)
    assert told["unsearched"] == []


def test_every_secret_is_told_of_by_its_rule(case: Case):
    assert_told(case.told, case.made)


def test_every_secret_is_planted_in_some_layout(cases: Callable[[str], Case]):
    made = [one for name in PLAIN for one in cases(name).made.planted]
    assert len(made) >= SECRETS
    assert {one.secret.rule for one in made} == {rule.name for rule in rules.load()}
    homes = {home for one in made for home in HOMES if one.secret.path.startswith(f"{home}/.")}
    assert homes == set(HOMES)


def test_no_byte_of_any_is_left(case: Case):
    marks = {one.secret.mark for one in case.made.planted}
    before = planted.marks_in(case.made.image)
    assert marks <= before and set(case.made.lost) <= before
    assert planted.marks_in(case.scrubbed) == set()


def told_of(bakery: Bakery, folder: Path, layout: tuple[Volume, ...], share: Share = ALL) -> int:
    """A look at a layout tells of all; how many secrets there are."""
    made = volumes.make(folder, layout, share)
    done = bakery("scrub", made.image, "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    assert_told(json.loads(done.stdout), made)
    made.image.unlink()
    return len(made.planted)


@pytest.mark.parametrize("layout", [GROUP, BTRFS], ids=["LVM", "btrfs"])
def test_a_look_into_groups_and_subvolumes_passes_none_over(bakery, tmp_path, layout):
    assert told_of(bakery, tmp_path, layout, Share(1, 4)) >= SECRETS // 4


SAIDS = ("fstab", "unit", "drop-in", "argument")
EVERY = [
    *(("partition", kind, name) for kind in ("ext4", "xfs") for name in OF_PARTITIONS),
    *(("lv", kind, name) for kind in ("ext4", "xfs") for name in OF_GROUPS),
    *(("subvolume", "btrfs", name) for name in OF_FILESYSTEMS),
]


@pytest.mark.slow
@pytest.mark.full  # by default each of them occurs, with some of the others
@pytest.mark.parametrize("said", SAIDS)
@pytest.mark.parametrize(("where", "kind", "name"), EVERY)
def test_every_name_wherever_it_stands_leads_to_its_secrets(
    bakery: Bakery, tmp_path: Path, where: str, kind: str, name: str, said: str
):
    layout = parts((name,), (said,), kind=kind, where=where)
    half = Share(SAIDS.index(said) % 2, 2)
    assert told_of(bakery, tmp_path, layout, half) >= SECRETS
