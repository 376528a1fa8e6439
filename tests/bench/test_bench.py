"""The benchmark runs, and prints what it is there for; what it measured is not asserted."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import tiny
from tests.conftest import Sample


@pytest.mark.slow
@pytest.mark.bench
def test_the_build_benchmark_prints_every_ratio(sample: Sample):
    argv: list[str | Path] = [
        sys.executable,
        "-m",
        "tests.bench.build",
        "--pairs",
        "1",
        "--original",
        "1",
        "--image",
        sample("default"),
    ]
    done = subprocess.run(
        argv, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    for name in ("build ÷ floor", "disk written ÷ data", "original of 2014 ÷ build", "peak memory"):
        assert name in done.stdout


@pytest.mark.slow
@pytest.mark.bench
@pytest.mark.xdist_group("services")
def test_the_upload_benchmark_prints_every_figure(tmp_path: Path):
    argv = [sys.executable, "-m", "tests.bench.upload", "--pairs", "1"]
    done = subprocess.run(
        [*argv, "--image", tiny.make(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    for name in ("throughput", "peak memory", "second upload, seconds", "image bytes sent"):
        assert name in done.stdout


@pytest.mark.slow
@pytest.mark.bench
@pytest.mark.xdist_group("lab")
@pytest.mark.timeout(2400)
def test_the_deploy_benchmark_prints_every_part(sample: Sample):
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.deploy", "--no-dd", "--image", sample("default")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    for name in ("power-on → POST", "write", "verify", "switch", "login", "wire bytes ÷ data"):
        assert name in done.stdout


@pytest.mark.slow
@pytest.mark.bench
@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a network of many nodes")
def test_the_rack_benchmark_prints_a_line_for_each_rack():
    words = ["--nodes", "1,2", "--http", "2", "--mib", "1", "--mbit", "40"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.rack", *words],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    for rack in ("| multicast | 1 |", "| multicast | 2 |", "| HTTP | 2 |"):
        assert rack in done.stdout
