"""`--compress zstd`: the base once more, for who reads it over a network."""

import subprocess
from pathlib import Path

import pytest

from bakery import manifest
from bakery.disk import digest, packed
from tests import tiny
from tests.conftest import Bakery

NAMES = [f"tiny-{name}" for name in manifest.PACKED]


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
    index = packed.read(index_file)
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
