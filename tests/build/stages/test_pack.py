"""`--compress zstd`: the base once more, for who reads it over a network."""

import os
import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bakery.build.stages import pack
from bakery.disk import digest
from bakery.disk.copy.changes import Change
from bakery.disk.extents import Extent
from bakery.disk.packed import packed_index
from bakery.host.errors import BakeryError
from bakery.host.report import Event, Report, silent
from bakery.manifest import manifest
from tests import durability, tiny
from tests.conftest import Bakery

NAMES = [f"tiny-{name}" for name in manifest.PACKED]


def test_who_gives_the_packing_up_gives_up_what_it_follows(tmp_path: Path):
    log: list[str] = []
    copying: Any = SimpleNamespace(give_up=lambda: log.append("given up"))
    packing = pack.Packing(copying, tmp_path)
    packing._progress(1, 2)
    packing.close()
    assert log == ["given up"]
    with pytest.raises(BakeryError, match="the packing was cancelled"):
        packing._progress(1, 2)


def test_the_packing_has_ended_when_it_is_closed(tmp_path: Path):
    log: list[str] = []
    given_up = threading.Event()

    def landed(_beyond: int) -> int:
        given_up.wait(30)
        time.sleep(0.1)
        log.append("ended")
        raise BakeryError("the copy was cancelled")

    copying: Any = SimpleNamespace(landed=landed, give_up=given_up.set)
    packing = pack.Packing(copying, tmp_path)
    packing.start()
    packing.close()
    assert log == ["ended"]


def test_progress_is_told_once_somebody_waits(tmp_path: Path):
    events: list[Event] = []
    packing = pack.Packing(cast("Any", None), tmp_path)
    with Report(events.append).step("pack") as step:
        packing._step = step
        packing._progress(1, 2)
    assert [(e.done_bytes, e.total_bytes) for e in events if e.kind == "progress"] == [(1, 2)]


def test_without_a_copy_there_is_nothing_to_follow_and_the_base_is_packed(tmp_path: Path, on_disk):
    (tmp_path / "base").write_bytes(b"x" * (3 << 20))
    os.truncate(tmp_path / "base", 5 << 20)
    (tmp_path / "out").mkdir()
    inputs: Any = SimpleNamespace(
        beside=lambda *_: None, file=lambda *_: tmp_path / "base", scratch=tmp_path
    )
    assert pack.begin(inputs) is None
    events: list[Event] = []
    with Report(events.append).step("pack") as step:
        pack.run(inputs, tmp_path / "out", step)
    frames, index, _ = (tmp_path / "out" / name for name in manifest.PACKED)
    assert durability.state(frames.stat()) in [state for _, state in on_disk.synced]
    told = packed_index.read(index)
    assert digest.matches(tmp_path / "base", told.digest)
    assert events[-1].text == f"{frames.stat().st_size} bytes, 3 chunks with data"


def test_behind_a_copy_frames_come_as_it_lands(tmp_path: Path, on_disk):
    content = bytes(range(256)) * (3 << 12)
    (tmp_path / "copy").write_bytes(content)
    landings = iter([1 << 20, 2 << 20, len(content)])
    with (tmp_path / "copy").open("rb", buffering=0) as reader:
        copying: Any = SimpleNamespace(
            reader=reader,
            size_bytes=len(content),
            landed=lambda _beyond: next(landings),
            edits=lambda: [Change(Extent(0, 2), b"ed")],
            give_up=lambda: None,
        )
        packing = pack.begin(
            cast("Any", SimpleNamespace(beside=lambda *_: copying, scratch=tmp_path))
        )
        assert packing is not None
        packing.start()
        inputs: Any = SimpleNamespace(beside=lambda *_: packing)
        (tmp_path / "out").mkdir()
        with silent().step("pack") as step:
            pack.run(inputs, tmp_path / "out", step)
        packing.close()
    frames = tmp_path / "out" / manifest.PACKED[0]
    assert durability.state(frames.stat()) in [state for _, state in on_disk.synced]
    done = subprocess.run(["zstd", "-dc", frames], capture_output=True, check=True)
    assert done.stdout == b"ed" + content[2:]
    assert next(landings, None) is None


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tiny.make(tmp_path / "in")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out"


def there(output: Path) -> list[str]:
    return [name for name in NAMES if (output / name).exists()]


def build(bakery: Bakery, image: Path, output: Path, *words: str) -> str:
    done = bakery("build", image, "-o", output, "-v", *words)
    assert done.returncode == 0, done.stderr
    return done.stderr + done.stdout


def test_the_packed_base_is_the_base(bakery, image, output):
    build(bakery, image, output, "--compress", "zstd")
    assert there(output) == NAMES
    frames, index_file, _ = (output / name for name in NAMES)
    unpacked = subprocess.run(["zstd", "-dc", frames], capture_output=True, check=True).stdout
    assert unpacked == (output / "tiny-base").read_bytes()
    index = packed_index.read(index_file)
    assert index.packed_bytes == frames.stat().st_size
    assert digest.matches(output / "tiny-base", index.digest)


def test_bmaptool_writes_it_by_its_block_map(bakery, image, output, tmp_path):
    build(bakery, image, output, "--compress", "zstd")
    frames, _, block_map = (output / name for name in NAMES)
    copied = tmp_path / "copied"
    words = ["bmaptool", "--quiet", "copy", "--bmap", block_map, frames, copied]
    subprocess.run(words, check=True)
    assert copied.read_bytes() == (output / "tiny-base").read_bytes()


def test_asked_for_later_it_is_made_of_the_base_that_is_there(bakery, image, output):
    build(bakery, image, output)
    assert there(output) == []
    told = build(bakery, image, output, "--compress", "zstd")
    assert "pack: done" in told
    assert "base: done" not in told
    late = [(output / name).read_bytes() for name in NAMES]
    build(bakery, image, output.with_name("at once"), "--compress", "zstd")
    assert late == [(output.with_name("at once") / name).read_bytes() for name in NAMES]


def test_a_second_build_has_nothing_to_do_and_one_without_takes_it_away(bakery, image, output):
    build(bakery, image, output, "--compress", "zstd")
    assert "nothing to do" in build(bakery, image, output, "--compress", "zstd")
    build(bakery, image, output)
    assert there(output) == []


def test_a_packed_base_that_was_lost_is_there_again(bakery, image, output):
    build(bakery, image, output, "--compress", "zstd")
    (output / NAMES[0]).unlink()
    build(bakery, image, output, "--compress", "zstd")
    assert there(output) == NAMES


def test_an_unknown_way_to_compress_is_wrong_usage(bakery, image, output):
    assert bakery("build", image, "-o", output, "--compress", "lzma").returncode == 2
    assert not output.exists()
