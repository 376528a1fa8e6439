"""The benchmark runs, and prints what it is there for; what it measured is not asserted."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import tiny
from tests.conftest import Sample


def printed(bench: str, *words: str | Path) -> str:
    """What a benchmark prints, which ends well."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.bench.{bench}", *words],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    return done.stdout


@pytest.mark.slow
@pytest.mark.bench
def test_the_build_benchmark_prints_every_ratio(sample: Sample):
    told = printed("build", "--pairs", "1", "--original", "1", "--image", sample("default"))
    for name in ("build ÷ floor", "disk written ÷ data", "original of 2014 ÷ build", "peak memory"):
        assert name in told


@pytest.mark.slow
@pytest.mark.bench
def test_the_benchmark_of_formats_prints_a_line_for_each(tmp_path: Path):
    told = printed("formats", "--pairs", "1", "--image", tiny.make(tmp_path))
    for name in ("raw", "qcow2, zlib", "qcow2, zstd", "VMDK", "VHD"):
        assert f"build ÷ floor, {name} " in told


@pytest.mark.slow
@pytest.mark.bench
@pytest.mark.xdist_group("services")
def test_the_upload_benchmark_prints_every_figure(tmp_path: Path):
    told = printed("upload", "--pairs", "1", "--image", tiny.make(tmp_path))
    for name in ("throughput", "peak memory", "second upload, seconds", "image bytes sent"):
        assert name in told


@pytest.mark.slow
@pytest.mark.bench
@pytest.mark.xdist_group("lab")
@pytest.mark.timeout(2400)
def test_the_deploy_benchmark_prints_every_part(sample: Sample):
    told = printed("deploy", "--no-dd", "--image", sample("default"))
    for name in ("power-on → POST", "write", "verify", "switch", "login", "wire bytes ÷ data"):
        assert name in told


@pytest.mark.slow
@pytest.mark.bench
@pytest.mark.xdist_group("lab")
@pytest.mark.timeout(2400)
def test_a_deploy_is_compared_with_that_of_another_checkout(sample: Sample):
    checkout = Path(__file__).parents[2]
    told = printed("before", checkout, "--pairs", "1", "--image", sample("default"))
    assert "deploy ÷ deploy before, iscsi" in told


@pytest.mark.slow
@pytest.mark.bench
@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a network of many nodes")
def test_the_rack_benchmark_prints_a_line_for_each_rack():
    told = printed("rack", "--nodes", "1,2", "--http", "2", "--mib", "1", "--mbit", "40")
    for rack in ("| multicast | 1 |", "| multicast | 2 |", "| HTTP | 2 |"):
        assert rack in told


@pytest.mark.slow
@pytest.mark.bench
@pytest.mark.xdist_group("bare-metal")
def test_the_nodes_benchmark_prints_every_figure(tmp_path: Path):
    told = printed("nodes", "--nodes", "4", "--work", tmp_path)
    for name in ("one after another, seconds", "at a time ÷", "second run of a file, seconds"):
        assert name in told
