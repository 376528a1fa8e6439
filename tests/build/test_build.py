"""Building, planning and building again, on small images and by the direct engine."""

import errno
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bakery.build import build as building
from bakery.build.plan import plan
from bakery.build.spec import Options
from bakery.host.errors import BakeryError
from bakery.host.report import Event, Report, silent
from bakery.host.workdir import WorkDir
from bakery.image import source
from bakery.manifest import manifest
from tests import tiny


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make(tmp_path_factory.mktemp("tiny"))


def build(image: Path, output: Path, **options: Any) -> tuple[manifest.Build, bool, list[str]]:
    """The build, whether it is fresh, and the stages that ran."""
    events: list[Event] = []
    made, fresh = building.build(image, Options(**options), output, Report(events.append))
    return made, fresh, [e.step for e in events if e.kind == "finished"]


def planned(image: Path, output: Path, **options: Any) -> dict[str, str]:
    return {s.stage: s.state for s in plan(image, Options(**options), output).steps}


def test_a_build_is_kernel_ramdisk_base_and_manifest(image: Path, tmp_path: Path):
    made, fresh, _ = build(image, tmp_path / "out")
    assert fresh
    assert made.kernel.read_bytes() == tiny.KERNEL
    assert made.ramdisk.read_bytes() == tiny.INITRD
    assert made.manifest.layout == "lv"
    assert made.manifest.name == "tiny"
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == [".bakery", "tiny-base", "tiny-kernel", "tiny-ramdisk", "tiny.manifest.json"]


def test_the_base_is_the_root_partition_without_its_boot_line(image: Path, tmp_path: Path):
    made, _, _ = build(image, tmp_path / "out")
    raw = tmp_path / "whole.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, raw], check=True)
    source = raw.read_bytes()[tiny.ROOT_START : tiny.ROOT_START + tiny.ROOT_SIZE]
    base = made.base.read_bytes()
    differing = [i for i, (a, b) in enumerate(zip(source, base, strict=True)) if a != b]
    line = next(x for x in tiny.FSTAB.splitlines() if b" /boot " in x)
    start = source.index(tiny.FSTAB) + tiny.FSTAB.index(line)
    assert differing
    assert all(start <= i < start + len(line) for i in differing)
    (edit,) = made.manifest.edits
    assert (edit.offset, edit.offset + edit.length) == (differing[0], differing[-1] + 1)


def test_no_name_of_what_stays_behind_is_left_in_the_base(tmp_path: Path):
    unit = b"[Mount]\nWhat=LABEL=other\nWhere=/efi\n[Install]\nRequiredBy=local-fs.target\n"
    root = {
        **tiny.ROOT,
        "etc/fstab": b"# <file system> <mount point> <type> <options> <dump> <pass>\n"
        b"/dev/sda2  /      ext4  errors=remount-ro  0  1\n/dev/sda1  none  swap  sw  0  0\n",
        "etc/crypttab": b"# target source\nhome /dev/disk/by-path/pci-1-part1 none luks\n",
        "etc/systemd/system/efi.mount": unit,
    }
    entry = tiny.ENTRY.replace(f"UUID={tiny.ROOT_UUID}", "/dev/sda2 resume=/dev/sda1")
    boot = {**tiny.BOOT, "loader/entries/tiny.conf": entry.encode()}
    image = tiny.make(tmp_path, boot=boot, root=root)
    made, _, _ = build(image, tmp_path / "out", engine="direct", without=("/efi",))
    assert made.manifest.kernel_args == (f"root=UUID={tiny.ROOT_UUID}", "ro", "console=ttyS0")
    held = {path: tiny.content(made.base, path) for path in ("etc/fstab", "etc/crypttab")}
    assert [line.split() for line in held["etc/fstab"].splitlines() if line[:1] != b"#"] == [
        [f"UUID={tiny.ROOT_UUID}".encode(), *b"/ ext4 errors=remount-ro 0 1".split()]
    ]
    assert all(line.startswith(b"#") for line in held["etc/crypttab"].splitlines())
    quiet = tiny.content(made.base, "etc/systemd/system/efi.mount")
    assert len(quiet) == len(unit)
    assert b"What=/\nWhere=/efi\n" in quiet
    assert [(item.use, item.done) for item in made.manifest.left_behind] == [
        ("/", "rewritten"), ("swap", "taken out"), ("unlock", "taken out"), ("/efi", "taken out"),
        ("root", "rewritten"), ("resume", "taken out"),
    ]  # fmt: skip


def test_a_second_build_does_nothing_and_says_so(image: Path, tmp_path: Path):
    first, _, _ = build(image, tmp_path / "out")
    second, fresh, ran = build(image, tmp_path / "out")
    assert not fresh
    assert ran == []
    assert second == first


def test_other_kernel_arguments_copy_nothing_again(image: Path, tmp_path: Path):
    build(image, tmp_path / "out")
    made, fresh, ran = build(image, tmp_path / "out", karg_append=("quiet",), karg_delete=("ro",))
    assert fresh
    assert ran == ["commit"]
    assert made.manifest.kernel_args == (f"root=UUID={tiny.ROOT_UUID}", "console=ttyS0", "quiet")


def test_another_layout_runs_only_what_depends_on_it(image: Path, tmp_path: Path):
    build(image, tmp_path / "out")
    made, _, ran = build(image, tmp_path / "out", layout="disk")
    assert ran == ["edit", "base", "commit"]
    assert made.base.stat().st_size == tiny.DISK_SIZE


def test_another_name_takes_the_old_files_away(image: Path, tmp_path: Path):
    build(image, tmp_path / "out")
    build(image, tmp_path / "out", name="other")
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {
        ".bakery",
        "other-base",
        "other-kernel",
        "other-ramdisk",
        "other.manifest.json",
    }


def test_a_changed_base_is_made_again(image: Path, tmp_path: Path):
    made, _, _ = build(image, tmp_path / "out")
    good = made.base.read_bytes()
    with made.base.open("r+b") as file:
        file.write(b"scribble")
    again, fresh, ran = build(image, tmp_path / "out")
    assert fresh
    assert ran == ["base", "commit"]
    assert again.base.read_bytes() == good


def test_the_work_directory_can_be_removed_at_any_time(image: Path, tmp_path: Path):
    first, _, _ = build(image, tmp_path / "out")
    subprocess.run(["rm", "-r", tmp_path / "out" / ".bakery"], check=True)
    second, _, _ = build(image, tmp_path / "out")
    assert second.manifest == first.manifest


def test_a_whole_disk_is_the_source_bit_for_bit(image: Path, tmp_path: Path):
    made, _, _ = build(image, tmp_path / "out", layout="disk")
    raw = tmp_path / "whole.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, raw], check=True)
    assert made.base.read_bytes() == raw.read_bytes()
    assert made.manifest.edits == ()


def test_sha256_is_that_of_the_whole_base_when_asked_for(image: Path, tmp_path: Path):
    made, _, _ = build(image, tmp_path / "out", sha256=True)
    done = subprocess.run(["sha256sum", made.base], capture_output=True, text=True, check=True)
    assert made.manifest.artifacts["base"].sha256 == done.stdout.split()[0]
    plain, _, _ = build(image, tmp_path / "plain")
    assert plain.manifest.artifacts["base"].sha256 == ""
    assert plain.manifest.artifacts["kernel"].sha256


def test_the_plan_of_a_new_build_is_everything(image: Path, tmp_path: Path):
    stages = planned(image, tmp_path / "out")
    assert list(stages) == ["check", "inspect", "boot", "edit", "base"]
    assert set(stages.values()) == {"will run"}
    assert not (tmp_path / "out").exists()


def test_the_plan_of_a_finished_build_is_nothing(image: Path, tmp_path: Path):
    build(image, tmp_path / "out")
    assert set(planned(image, tmp_path / "out").values()) == {"have"}


def test_the_plan_names_what_changed(image: Path, tmp_path: Path):
    build(image, tmp_path / "out")
    made = plan(image, Options(layout="disk"), tmp_path / "out")
    steps = {s.stage: s for s in made.steps}
    assert steps["boot"].state == "have"
    assert steps["base"].state == "will run"
    assert "layout" in steps["base"].why


@pytest.mark.parametrize(
    ("options", "stage", "why"),
    [
        ({"sha256": True}, "base", "changed: sha256"),
        ({"layout": "disk"}, "base", "changed: layout, place, reads edit"),
        ({"layout": "disk"}, "edit", "changed: changes, edit"),
    ],
)
def test_the_plan_names_nothing_that_stayed(
    image: Path, tmp_path: Path, options: Any, stage: str, why: str
):
    build(image, tmp_path / "out")
    steps = plan(image, Options(**options), tmp_path / "out").steps
    assert [step.why for step in steps if step.stage == stage] == [why]


def test_plan_and_build_agree(image: Path, tmp_path: Path):
    build(image, tmp_path / "out")
    for options in ({"layout": "disk"}, {"karg_append": ("quiet",)}, {"sha256": True}):
        will = [
            s
            for s, state in planned(image, tmp_path / "out", **options).items()
            if state == "will run"
        ]
        _, _, ran = build(image, tmp_path / "out", **options)
        assert [stage for stage in ran if stage not in ("commit", "source")] == will


def test_a_folder_with_other_peoples_files_is_refused(image: Path, tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("x")
    with pytest.raises(BakeryError, match=r"thesis\.tex"):
        build(image, tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["thesis.tex"]


def test_a_damaged_manifest_is_replaced(image: Path, tmp_path: Path):
    made, _, _ = build(image, tmp_path / "out")
    path = manifest.find(made.directory)
    assert path is not None
    path.write_text("{")
    again, fresh, ran = build(image, tmp_path / "out")
    assert fresh
    assert ran == ["commit"]
    assert json.loads(path.read_bytes())["name"] == again.manifest.name


def test_an_image_that_changes_while_it_is_read_is_refused(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    copy = tmp_path / "copy.qcow2"
    copy.write_bytes(image.read_bytes())
    from bakery.disk.copy import copy as copying

    original = copying.copy_ranges

    def touched(*args: Any, **options: Any) -> None:
        original(*args, **options)
        with copy.open("r+b") as file:
            file.seek(0, 2)
            file.write(b"\0")

    monkeypatch.setattr(copying, "copy_ranges", touched)
    with pytest.raises(BakeryError, match="changed while it was being read"):
        building.build(copy, Options(), tmp_path / "out", silent())
    assert not (tmp_path / "out").exists()


def test_a_commit_tells_the_manifest_and_the_check_is_told_once(image: Path, tmp_path: Path):
    events: list[Event] = []
    building.build(image, Options(), tmp_path / "out", Report(events.append))
    ends = {e.step: e.text for e in events if e.kind == "finished"}
    assert ends["commit"] == "tiny.manifest.json"
    assert [e.step for e in events if e.kind == "finished"].count("check") == 1
    assert list(ends) == ["source", "check", "inspect", "boot", "edit", "base", "commit"]


def test_results_of_other_options_go_when_a_build_ends_well(image: Path, tmp_path: Path):
    build(image, tmp_path / "out")
    before = {path.name for path in (tmp_path / "out/.bakery").iterdir()}
    build(image, tmp_path / "out", layout="disk")
    after = {path.name for path in (tmp_path / "out/.bakery").iterdir()}
    assert {name.partition("-")[0] for name in after} == {name.partition("-")[0] for name in before}
    assert len(after) == len(before)
    assert len({name for name in before - after if name.startswith("base-")}) == 1


@pytest.mark.parametrize(("name", "told"), [("/x", "/x: full"), (None, "{out}: full")])
def test_a_disk_that_is_full_is_named_and_nothing_is_left(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: Any, told: str
):
    def full(*_args: Any, **_words: Any) -> None:
        (tmp_path / "out/.bakery/tmp/half").touch()
        raise OSError(errno.ENOSPC, "full", name)

    monkeypatch.setattr(source, "open_image", full)
    with pytest.raises(BakeryError) as refused:
        build(image, tmp_path / "out")
    assert refused.value.message == told.format(out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_was_built_before_stays_where_another_image_is_refused(image: Path, tmp_path: Path):
    first, _, _ = build(image, tmp_path / "out")
    with pytest.raises(BakeryError, match="layout pv"):
        build(image, tmp_path / "out", layout="pv")
    assert manifest.load(tmp_path / "out") == first
    _, fresh, ran = build(image, tmp_path / "out")
    assert (fresh, ran) == (False, [])


def test_another_release_of_bakery_commits_anew_and_makes_nothing_again(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    build(image, tmp_path / "out")
    monkeypatch.setattr(building, "__version__", "99")
    _, fresh, ran = build(image, tmp_path / "out")
    assert (fresh, ran) == (True, ["commit"])


def test_two_builds_in_one_folder_do_not_meet(image: Path, tmp_path: Path):
    with WorkDir(tmp_path / "out").locked(), pytest.raises(BakeryError, match="is running in"):
        build(image, tmp_path / "out")
