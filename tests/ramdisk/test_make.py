"""`bakery ramdisk`, as a user runs it."""

import hashlib
import json
import subprocess

import pytest

from bakery import tools
from bakery.errors import MissingTool
from bakery.ramdisk.make import make
from bakery.report import silent

LIMIT_BYTES = 30 << 20


@pytest.mark.slow
@pytest.mark.xdist_group("ramdisk")
def test_two_builds_are_the_same_bytes_and_small(bakery, tmp_path):
    answers = []
    for name in ("one", "two"):
        done = bakery("ramdisk", "-o", tmp_path / name, "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        answers.append(json.loads(done.stdout))
    first, second = answers
    for file in ("deploy-kernel", "deploy-ramdisk"):
        one, two = ((tmp_path / name / file).read_bytes() for name in ("one", "two"))
        assert one == two
    ramdisk = (tmp_path / "one/deploy-ramdisk").read_bytes()
    assert first["ramdisk_sha256"] == hashlib.sha256(ramdisk).hexdigest()
    assert first["ramdisk_bytes"] == len(ramdisk) < LIMIT_BYTES
    assert first["kernel_sha256"] == second["kernel_sha256"]
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [
        "deploy-kernel",
        "deploy-ramdisk",
    ]
    listed = subprocess.run(
        f"zstd -dc {tmp_path}/one/deploy-ramdisk | cpio -it --quiet",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert {"init", "dev/console", "usr/sbin/tgtd", "usr/bin/busybox"} <= set(listed)
    assert not [path for path in listed if path.endswith(".py")]
    assert str(tmp_path).encode() not in ramdisk


def test_a_kernel_that_is_not_there_is_refused(bakery, tmp_path):
    done = bakery("ramdisk", "-o", tmp_path / "out", "--kernel", "9.9", "-q")
    assert done.returncode == 1
    assert "the kernel 9.9 is not installed" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_refused_before_the_work(bakery, tmp_path):
    (tmp_path / "file").write_text("")
    done = bakery("ramdisk", "-o", tmp_path / "file" / "out", "-q")
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "ramdisk:" not in done.stderr.partition("bakery:")[0]


@pytest.mark.parametrize(
    ("program", "package"), [("tgtd", "tgt"), ("busybox", "busybox-static"), ("zstd", "zstd")]
)
def test_a_program_that_is_missing_is_told_with_its_package(
    monkeypatch, tmp_path, program, package
):
    there = tools.find
    monkeypatch.setattr(tools, "find", lambda name: None if name == program else there(name))
    with pytest.raises(MissingTool, match=program) as caught:
        make(tmp_path / "out", silent())
    assert package in caught.value.hint.split()
    assert not (tmp_path / "out").exists()
