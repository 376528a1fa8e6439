"""A build under its names: each file on the disk first, the manifest last."""

import hashlib
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from bakery.build import build
from bakery.build.spec import Options, Scrub, resolve
from bakery.build.stages import commit
from bakery.build.stages.edit import Edits
from bakery.disk.extents import Extent
from bakery.host import report, tools
from bakery.host.workdir import WorkDir
from bakery.image.engines.base import Addition
from bakery.image.inspection import Inspection
from bakery.manifest import manifest as manifests
from bakery.manifest.manifest import PACKED, SBOM_FILES, Edit
from tests import tiny
from tests.build.test_spec import PARTITIONS, PIECES, PLAIN, SURVEY, entry, inspected
from tests.durability import Disk

FILES = ("tiny-kernel", "tiny-ramdisk", "tiny-base", "tiny-base.zst")


class Small:
    """A job whose stages left a byte or two; the manifest is made of what `changed` says."""

    def __init__(self, folder: Path, inspection: Any = None, **options: Any) -> None:
        self.inspection = inspection or inspected(
            entry(kernel_version="6.1", checksum="c", serial=2)
        )
        self.options = Options(**options)
        self.spec = resolve(self.inspection, self.options, "lab", "direct")
        self.source = self.image = SimpleNamespace(
            path=folder / "atomic.qcow2",
            format="qcow2",
            virtual_size_bytes=100 << 20,
            digest="sha256:source",
        )
        self.engine: Any = "direct"
        self.work = WorkDir(folder / "out")
        self.edits = Edits()
        self.results: dict[str, Path] = {}
        self.work.scratch.mkdir(parents=True)
        for stage, names in (
            ("boot", ("kernel", "ramdisk")),
            ("base", ("base",)),
            ("pack", PACKED if self.options.compress else ()),
            ("sbom", [SBOM_FILES[form] for form in self.options.sbom]),
        ):
            if names:
                self.results[stage] = folder / stage
                (folder / stage).mkdir()
                for name in names:
                    (folder / stage / name).write_bytes(name.encode())

    def read(self, stage: str, name: str, _kind: Any) -> Any:
        if (stage, name) == ("edit", "edits.json"):
            return self.edits
        assert (stage, name) == ("base", "base.json")
        return manifests.Artifact(7, "sha256:base", "", (Extent(0, 7),))

    def committed(self, key: str = "key") -> manifests.Manifest:
        return commit.commit(cast("Any", self), key, commit.prepare(cast("Any", self)))


def small(folder: Path, *args: Any, **options: Any) -> Any:
    return Small(folder, *args, **options)


def test_a_manifest_tells_what_was_built_of_what(tmp_path: Path):
    job = small(tmp_path, layout="lv", name="lab")
    why = "edited"
    first, second = PIECES
    job.edits = Edits(
        (Edit(second.offset + 5, 3, why), Edit(first.offset, 2, why), Edit(0, 9, why)),
        ("/dev/vg/root:/etc/fstab",),
        mounted=True,
    )
    told = job.committed()
    assert told.source == manifests.Source("atomic.qcow2", "qcow2", 100 << 20, "sha256:source")
    assert (told.name, told.layout, told.engine, told.key) == ("lab", "lv", "direct", "key")
    part = PARTITIONS[1]
    assert told.partition == manifests.PartitionRecord(2, part.start_bytes, part.size_bytes, "8e")
    assert told.lvm == manifests.LvmRecord("vg", "root", PIECES)
    assert told.root_filesystem == manifests.RootFilesystem("xfs", "1111-aaaa", "")
    assert told.deployment == manifests.Deployment("one", "6.1", "", "c", 2)
    assert told.edits == (Edit(first.length + 5, 3, why), Edit(0, 2, why))
    assert (told.files_changed, told.mounted) == (("/dev/vg/root:/etc/fstab",), True)
    assert (told.firmware, told.sbom) == ((), {})
    assert told.artifacts["base"].digest == "sha256:base"
    kernel = told.artifacts["kernel"]
    assert (kernel.size_bytes, kernel.sha256) == (6, hashlib.sha256(b"kernel").hexdigest())
    assert manifests.load(job.work.output).manifest == told


def test_a_whole_disk_is_told_by_what_starts_it(tmp_path: Path):
    found = inspected(firmware=("bios", "uefi"), os_id="tiny")
    told = small(tmp_path, found, layout="disk").committed()
    assert (told.partition, told.firmware, told.distro) == (None, ("bios", "uefi"), "tiny")
    assert told.deployment is not None


def test_a_disk_that_cannot_be_taken_apart_has_a_base_alone(tmp_path: Path):
    found = Inspection(survey=SURVEY, refusals={"pv": "sealed", "lv": "sealed"})
    job = small(tmp_path, found, layout="disk")
    for path in (tmp_path / "boot").iterdir():
        path.unlink()
    told = job.committed()
    assert (told.deployment, told.root_filesystem, told.lvm) == (None, None, None)
    assert set(told.artifacts) == {"base"}


def test_a_plain_root_has_no_logical_volume(tmp_path: Path):
    found = inspected(entry(root=PLAIN.device), refusals={"pv": "no"})
    told = small(tmp_path, found).committed()
    assert (told.lvm, told.partition.number if told.partition else 0) == (None, 3)


def test_an_image_that_was_made_of_the_given_one_is_told_beside_it(tmp_path: Path):
    files = (Addition(tmp_path, "/etc/a", 0o644, 0, 0), Addition(tmp_path, "/b", 0o644, 0, 0))
    job = small(tmp_path, scrub=Scrub(), files=files)
    job.image = SimpleNamespace(digest="sha256:became")
    source = job.committed().source
    assert (source.scrubbed, source.files_added) == (True, ("/etc/a", "/b"))
    assert (source.digest, source.became) == ("sha256:source", "sha256:became")


def test_what_is_made_beside_the_base_has_its_names(tmp_path: Path):
    job = small(tmp_path, name="lab", compress="zstd", sbom=("cyclonedx",))
    told = job.committed()
    assert told.sbom["cyclonedx"].size_bytes == len("cdx.json")
    names = {path.name for path in job.work.output.iterdir()}
    packed = {f"lab-{name}" for name in PACKED}
    parts = {"lab-kernel", "lab-ramdisk", "lab-base", "lab.cdx.json", "lab.manifest.json"}
    assert names == {".bakery", *packed, *parts}
    base = job.work.output / "lab-base"
    assert base.stat().st_ino == (tmp_path / "base/base").stat().st_ino


def test_a_build_stands_while_its_key_and_its_files_do(tmp_path: Path):
    job = small(tmp_path, name="lab", compress="zstd")
    assert commit.committed(job, "key") is None
    told = job.committed()
    assert commit.committed(job, "key") == told
    assert commit.committed(job, "other") is None
    packed = job.work.output / "lab-base.zst"
    content = packed.read_bytes()
    packed.unlink()
    assert commit.committed(job, "key") is None
    packed.write_bytes(content)  # the same bytes, but not what the stage made
    assert commit.committed(job, "key") is None
    job.committed()
    assert commit.committed(job, "key") == told
    (job.work.output / "lab.manifest.json").write_text("{")
    assert commit.committed(job, "key") is None


def test_what_can_be_found_out_before_has_no_base_in_it(tmp_path: Path):
    job = small(tmp_path)
    del job.results["base"]
    prepared = commit.prepare(job)
    assert set(prepared.artifacts) == {"kernel", "ramdisk"}


@pytest.mark.parametrize(
    ("looks", "edits", "names"),
    [
        ("direct", "direct", ["qemu-img", "grub-fstest"]),
        ("direct", "guestfs", ["qemu-img", "grub-fstest", "guestfish"]),
        ("guestfs", "guestfs", ["qemu-img", "guestfish"]),
    ],
)
def test_the_programs_that_worked_on_it_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks: Any, edits: Any, names: list[str]
):
    job = small(tmp_path)
    job.engine = looks
    job.spec = msgspec.structs.replace(job.spec, edit_engine=edits)
    done = SimpleNamespace(text=" version 1 \nmore\n")
    monkeypatch.setattr(commit, "run", lambda argv: done if argv[1:] == ["--version"] else None)
    monkeypatch.setattr(tools, "find", lambda name: name)
    assert commit.prepare(job).tools == dict.fromkeys(names, "version 1")
    monkeypatch.setattr(tools, "find", lambda name: name if name == "qemu-img" else None)
    assert list(commit.prepare(job).tools) == ["qemu-img"]


def test_all_of_a_build_is_on_the_disk_before_its_manifest_says_so(tmp_path: Path, on_disk: Disk):
    (tmp_path / "in").mkdir()
    image, output = tiny.make(tmp_path / "in"), tmp_path / "out"
    made, _ = build.build(image, Options(compress="zstd"), output, report.silent())
    for _, path, _ in on_disk.named:
        if path.parent in (output, output / ".bakery"):
            assert on_disk.whole(path), f"{path.name} had its name before it was on the disk"
            assert on_disk.lasting(path), f"the name {path.name} was not brought to the disk"
    names = [path.name for _, path, _ in on_disk.named if path.parent == output]
    assert set(FILES) < set(names)
    assert names[-1] == "tiny.manifest.json"
    there = max(at for at, path, _ in on_disk.named if path.name in FILES)
    written, _ = on_disk.last(output / "tiny.manifest.json")
    folder = output.stat().st_ino
    assert any(there < at < written and one[1] == folder for at, one in on_disk.synced)
    assert made.base.exists()


def test_a_kernel_with_holes_has_the_sha256_of_the_whole_file(tmp_path: Path):
    job = small(tmp_path)
    kernel = tmp_path / "boot/kernel"
    os.truncate(kernel, 3 << 20)
    told = commit.prepare(job).artifacts["kernel"]
    assert told.sha256 == hashlib.sha256(kernel.read_bytes()).hexdigest()
    assert told.sha256 not in told.digest
