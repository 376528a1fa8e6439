"""Every sample variant: built in its layouts and compared with its source; some are booted."""

import hashlib
import json
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bakery.manifest import manifest
from bakery.manifest.manifest import Build
from bakery.samples.facts import SampleInfo
from bakery.system import fstab
from tests.conftest import Bakery, Sample
from tests.e2e.compare import differing_bytes, reference
from tests.e2e.conftest import Facts

pytestmark = pytest.mark.slow

MATRIX = [
    *(("default", layout) for layout in ("pv", "lv", "disk")),
    *(("two-deployments", layout) for layout in ("pv", "lv", "disk")),
    *(("uefi-gpt", layout) for layout in ("pv", "lv", "disk")),
    *(("btrfs-nolvm", layout) for layout in ("lv", "disk")),
    *(("ext4-nolvm", layout) for layout in ("lv", "disk")),
    *(("othernames", layout) for layout in ("pv", "lv", "disk")),
    *(("split-lv", layout) for layout in ("pv", "lv", "disk")),
    *(("no-boot-line", layout) for layout in ("pv", "lv", "disk")),
    *(("boot-words", layout) for layout in ("pv", "lv", "disk")),
    *(("plain", layout) for layout in ("lv", "disk")),
]
# What the default run leaves to `scripts/test --all`. A whole disk is copied as it is, whatever is
# in it: one of each table, filesystem and compression is enough. A partition or a volume is cut out
# whichever fstab lies in it, and each fstab is edited once.
REPEATED = {
    *(
        (variant, "disk")
        for variant in (
            *("two-deployments", "btrfs-nolvm", "ext4-nolvm"),
            *("split-lv", "no-boot-line", "boot-words"),
        )
    ),
    *(("uefi-gpt", "pv"), ("split-lv", "pv"), ("no-boot-line", "lv"), ("boot-words", "lv")),
    *(("othernames", "lv"), ("othernames", "disk"), ("two-deployments", "lv"), ("plain", "disk")),
}
# A boot is for what the bytes do not tell: a filesystem that is edited through its mount, and UEFI.
# The default sample boots as `pv` in docs/prove.md and as `lv` in tests/e2e/test_deploy.py; it and
# `plain` boot as `disk` in tests/build/scrub/test_scrubbed.py (`plain` in the full run).
BOOTED = {("btrfs-nolvm", "lv"), ("uefi-gpt", "disk")}
# btrfs has checksums over its data, and the second deployment shares the bytes of its fstab with
# another file (a reflink): such an edit has to go through the filesystem.
MOUNTED = {("btrfs-nolvm", "lv"), ("two-deployments", "pv"), ("two-deployments", "lv")}
UNEDITED = {("no-boot-line", "pv"), ("plain", "lv")}
BY_UEFI = "started by uefi"
HEALTH = (
    "systemctl is-system-running; cat /etc/fstab; lsblk -rno NAME,TYPE; "
    f"! test -d /sys/firmware/efi || echo {BY_UEFI}"
)


class Made(NamedTuple):
    variant: str
    layout: str
    image: Path
    build: Build
    facts: SampleInfo


def cases(by_default: Collection[tuple[str, str]]) -> Iterator[Any]:
    for case in MATRIX:
        name = "-".join(case)
        marks = [pytest.mark.xdist_group(name)]
        if case not in by_default:
            marks.append(pytest.mark.full)
        yield pytest.param(case, id=name, marks=marks)


@pytest.fixture(scope="module", params=cases({*MATRIX} - REPEATED))
def made(
    request: pytest.FixtureRequest,
    bakery: Bakery,
    sample: Sample,
    facts: Facts,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Made]:
    variant, layout = request.param
    image = sample(variant)
    before = hashlib.sha256(image.read_bytes()).hexdigest()
    output = tmp_path_factory.mktemp(f"{variant}-{layout}") / "build"
    done = bakery("build", image, "-o", output, "--layout", layout)
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(image.read_bytes()).hexdigest() == before
    yield Made(variant, layout, image, manifest.load(output), facts(variant))
    shutil.rmtree(output)


def test_the_kernel_arguments_are_the_boot_entrys_own(made: Made):
    wanted = list(made.facts.kernel_args)
    if made.layout == "lv":
        wanted = [
            f"root=UUID={made.facts.root_uuid}" if arg.startswith("root=") else arg
            for arg in wanted
        ]
    assert list(made.build.manifest.kernel_args) == wanted


def test_the_base_is_the_source_but_for_the_edits_the_manifest_lists(made: Made, tmp_path: Path):
    found = made.build.manifest
    place = place_of(made)
    truth = reference(made.image, place, tmp_path / "reference")
    listed = {i for edit in found.edits for i in range(edit.offset, edit.offset + edit.length)}
    differing = differing_bytes(truth, made.build.base)
    assert differing <= listed
    assert bool(differing) == bool(found.edits)
    assert found.mounted == ((made.variant, made.layout) in MOUNTED)
    if made.layout == "disk" or (made.variant, made.layout) in UNEDITED:
        assert found.edits == ()
    elif not found.mounted:
        lines = {line_at(truth, offset) for offset in differing}
        points = {entry.mount_point for line in lines for entry in fstab.entries(line)}
        # A logical volume that stands alone has another name, which may take a comment's bytes.
        renamed = made.layout == "lv" and made.facts.volume is not None
        assert points <= {"/boot", "/boot/efi", *(["/"] if renamed else [])}
        assert all(fstab.entries(line) or (renamed and line[:1] == b"#") for line in lines)


def test_the_data_extents_hold_everything_that_is_not_zero(made: Made):
    listed = made.build.manifest.artifacts["base"].extents
    allocated = made.build.base.stat().st_blocks * 512
    data = sum(extent.length for extent in listed)
    assert data <= allocated + 65536
    assert [list(e) for e in json_manifest(made)["artifacts"]["base"]["extents"]] == [
        [e.offset, e.length] for e in listed
    ]


def test_each_variant_and_each_layout_is_built_in_the_default_run():
    built = {*MATRIX} - REPEATED
    assert {variant for variant, _ in built} == {variant for variant, _ in MATRIX}
    assert {layout for _, layout in built} == {layout for _, layout in MATRIX}
    assert built >= BOOTED


@pytest.mark.parametrize("made", list(cases(BOOTED)), indirect=True)
def test_it_boots_to_login_and_is_in_good_health(made: Made, bakery: Bakery):
    stamp = made.build.base.stat().st_mtime_ns
    done = bakery("prove", made.build.directory, "--run", HEALTH, timeout=1500)
    assert done.returncode == 0, done.stdout + done.stderr
    assert made.build.base.stat().st_mtime_ns == stamp
    assert "login reached" in done.stdout
    assert "running" in done.stdout
    assert (BY_UEFI in done.stdout) == ((made.variant, made.layout) == ("uefi-gpt", "disk"))
    if made.layout == "pv":
        assert "vda1 part\n" in done.stdout
        assert " lvm\n" in done.stdout
    boots_without_boot = made.layout != "disk"
    mounts = [e.mount_point for e in fstab.entries(done.stdout.encode())]
    if boots_without_boot:
        assert "/boot" not in mounts


def json_manifest(made: Made) -> Any:
    name = made.build.manifest.name + manifest.SUFFIX
    return json.loads((made.build.directory / name).read_bytes())


def place_of(made: Made) -> list[tuple[int, int]]:
    """Where the base lies in the source disk, by what the sample is known to be."""
    found = made.facts
    if made.layout == "disk":
        return [(0, found.virtual_size)]
    holder = next(p for p in found.partitions if p.role in ("pv", "root"))
    if made.layout == "pv" or found.volume is None:
        return [(holder.start, holder.size)]
    extent, first = 4 << 20, holder.start + (1 << 20)
    return [(first + start * extent, count * extent) for start, count in found.volume.segments]


def around(truth: Path, block: int) -> bytes:
    """The three blocks of 4096 bytes with `block` in the middle."""
    with truth.open("rb") as file:
        file.seek(max(0, block - 1) * 4096)
        return file.read(3 * 4096)


def line_at(truth: Path, offset: int) -> bytes:
    """The line of text that holds the byte `offset` of a file."""
    block = offset // 4096
    text, inside = around(truth, block), offset - max(0, block - 1) * 4096
    return text[text.rfind(b"\n", 0, inside) + 1 : text.index(b"\n", inside)]
