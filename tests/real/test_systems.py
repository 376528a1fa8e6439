"""Other people's layouts: each one boots as what bakery says it can be, or is refused with reason.

There is no third: nothing is built in silence that does not come to a login.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import Bakery
from tests.real.conftest import SystemImage
from tests.real.systems import NO_LVM, SYSTEMS, Proved, Refused

pytestmark = pytest.mark.slow

# What the default run boots: a root that is named anew, and a root in a subvolume beside a /boot
# of its own. The others repeat these, or are whole disks, which are copied as they are.
BY_DEFAULT = {("partuuid-cloud", "lv"), ("fedora-btrfs", "lv")}
HEALTH = "systemctl is-system-running --wait; systemctl --failed --no-legend --plain"
BOOT_TIMEOUT_SECONDS = 900  # of a machine that has other things to do


class Boot(NamedTuple):
    """A layout of a system that is said to boot: a disk by `firmware`, a root `without` mounts."""

    system: str
    layout: str
    firmware: str = ""
    without: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "-".join(filter(None, (*self[:3], *self.without))).replace("/", "")


def boots() -> Iterator[Boot]:
    """All that the table says boots."""
    for name, system in SYSTEMS.items():
        for layout, outcome in system.outcomes.items():
            if isinstance(outcome, Refused):
                if outcome.proved_without:
                    yield Boot(name, layout, without=outcome.words)
            else:
                yield from (Boot(name, layout, by) for by in outcome.firmware or ("",))


BOOTS = list(boots())
REFUSALS = [
    (name, layout)
    for name, system in SYSTEMS.items()
    for layout, outcome in system.outcomes.items()
    if isinstance(outcome, Refused) and outcome != NO_LVM
]


def marked(system: str, *values: Any, by_default: bool = True, name: str = "") -> Any:
    """A parameter; what a builder has to build, or what repeats another boot, is `full`."""
    marks = [pytest.mark.xdist_group(f"real-{system}")]
    if SYSTEMS[system].builder or not by_default:
        marks.append(pytest.mark.full)
    return pytest.param(*values, id=name or "-".join(values), marks=marks)


def inspected(bakery: Bakery, image: Path) -> dict[str, Any]:
    done = bakery("inspect", image, "--json")
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.mark.parametrize("name", [marked(name, name) for name in SYSTEMS])
def test_inspect_says_what_it_can_become_and_why_not(name: str, bakery: Bakery, system_image):
    refusals = inspected(bakery, system_image(name))["refusals"]
    for layout, outcome in SYSTEMS[name].outcomes.items():
        reason = refusals.get(layout, "")
        if isinstance(outcome, Proved):
            assert not reason
        else:
            assert [word for word in outcome.words if word not in reason] == [], reason


@pytest.mark.parametrize(("name", "layout"), [marked(case[0], *case) for case in REFUSALS])
def test_a_build_is_refused_for_the_same_reason(name, layout, bakery, system_image, tmp_path):
    folder = tmp_path / "build"
    done = bakery("build", system_image(name), "-o", folder, "--layout", layout)
    assert done.returncode == 1
    outcome = SYSTEMS[name].outcomes[layout]
    assert isinstance(outcome, Refused)
    assert [word for word in outcome.words if word not in done.stderr] == [], done.stderr
    assert not list(folder.glob("*-base"))


@pytest.mark.parametrize(
    "boot",
    [
        marked(boot.system, boot, by_default=boot[:2] in BY_DEFAULT, name=str(boot))
        for boot in BOOTS
    ],
)
def test_it_boots_to_a_login_and_is_in_good_health(
    boot: Boot, bakery: Bakery, system_image: SystemImage, tmp_path: Path
):
    folder = tmp_path / "build"
    without = [word for name in boot.without for word in ("--without", name)]
    words = ("--layout", boot.layout, *without)
    built = bakery("build", system_image(boot.system), "-o", folder, *words)
    assert built.returncode == 0, built.stderr
    firmware = ("--firmware", boot.firmware) if boot.firmware else ()
    words = ("--timeout", str(BOOT_TIMEOUT_SECONDS), "--run", HEALTH, *firmware)
    proved = bakery("prove", folder, *words, timeout=BOOT_TIMEOUT_SECONDS + 60)
    assert proved.returncode == 0, proved.stdout + proved.stderr
    if not SYSTEMS[boot.system].builder:  # a builder's own services may miss their cloud
        assert proved.stdout.splitlines()[0] == "running", proved.stdout
    shutil.rmtree(folder)


def test_what_the_default_run_boots_is_in_the_table():
    assert {boot[:2] for boot in BOOTS} >= BY_DEFAULT
