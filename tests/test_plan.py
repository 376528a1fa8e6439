"""Building, planning and building again, on small images and by the direct engine."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bakery import manifest, plan
from bakery.choice import Options
from bakery.errors import BakeryError
from bakery.report import Event, Report, silent
from tests import tiny


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make(tmp_path_factory.mktemp("tiny"))


def build(image: Path, output: Path, **options: Any) -> tuple[manifest.Build, bool, list[str]]:
    """The build, whether it is fresh, and the stages that ran."""
    events: list[Event] = []
    made, fresh = plan.build(image, Options(**options), output, Report(events.append))
    return made, fresh, [e.step for e in events if e.kind == "finished"]


def planned(image: Path, output: Path, **options: Any) -> dict[str, str]:
    return {s.stage: s.state for s in plan.plan(image, Options(**options), output).steps}


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
    assert ran == ["publish"]
    assert made.manifest.kernel_args == (f"root=UUID={tiny.ROOT_UUID}", "console=ttyS0", "quiet")


def test_another_layout_runs_only_what_depends_on_it(image: Path, tmp_path: Path):
    build(image, tmp_path / "out")
    made, _, ran = build(image, tmp_path / "out", layout="disk")
    assert ran == ["edit", "base", "publish"]
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
    assert ran == ["base", "publish"]
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
    made = plan.plan(image, Options(layout="disk"), tmp_path / "out")
    steps = {s.stage: s for s in made.steps}
    assert steps["boot"].state == "have"
    assert steps["base"].state == "will run"
    assert "layout" in steps["base"].why


def test_plan_and_build_agree(image: Path, tmp_path: Path):
    build(image, tmp_path / "out")
    for options in ({"layout": "disk"}, {"karg_append": ("quiet",)}, {"sha256": True}):
        will = [
            s
            for s, state in planned(image, tmp_path / "out", **options).items()
            if state == "will run"
        ]
        _, _, ran = build(image, tmp_path / "out", **options)
        assert [stage for stage in ran if stage not in ("publish", "source")] == will


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
    assert ran == ["publish"]
    assert json.loads(path.read_bytes())["name"] == again.manifest.name


def test_an_image_that_changes_while_it_is_read_is_refused(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    copy = tmp_path / "copy.qcow2"
    copy.write_bytes(image.read_bytes())
    from bakery.disk import copy as copying

    original = copying.copy_ranges

    def touched(*args: Any, **options: Any) -> None:
        original(*args, **options)
        with copy.open("r+b") as file:
            file.seek(0, 2)
            file.write(b"\0")

    monkeypatch.setattr(copying, "copy_ranges", touched)
    with pytest.raises(BakeryError, match="changed while it was read"):
        plan.build(copy, Options(), tmp_path / "out", silent())
    assert not (tmp_path / "out").exists()
