"""Both engines on one contract: the cases of contract.py, and one another's testimony."""

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bakery.host.kvm import acceleration
from bakery.host.report import Report, silent
from bakery.image.engines import appliance
from bakery.image.engines.base import Engine
from bakery.image.engines.direct import DirectEngine
from bakery.image.engines.guestfs import GuestfsEngine
from bakery.samples.variants import VARIANTS
from tests.image.engines import contract, specimen

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("contract")]

Maker = Callable[[Path, str, Path, Report], Engine]
ENGINES: dict[str, Maker] = {"direct": DirectEngine, "guestfs": GuestfsEngine}

# In what an engine reads they are like others; of `default` both make the same in
# tests/e2e/test_kernel_args.py, and the specimen has the filesystems of `plain`.
LIKE_OTHERS = {
    *("default", "two-deployments", "no-boot-line", "boot-words"),
    *("ext4-nolvm", "plain", "arm64", "split-lv"),
}


@pytest.fixture(scope="session")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The specimen as a raw disk: what the engines' answers are compared with."""
    folder = tmp_path_factory.mktemp("specimen")
    place = appliance.Place(folder, folder, folder, appliance.appliance_cache(folder))
    return specimen.make(folder, appliance.environment(acceleration(), place, caged=False))


@pytest.fixture(scope="session")
def image(disk: Path) -> Path:
    """The specimen as the qcow2 the engines are given."""
    image = disk.with_suffix(".qcow2")
    subprocess.run(["qemu-img", "convert", "-c", "-O", "qcow2", disk, image], check=True)
    return image


@pytest.fixture(scope="session", params=sorted(ENGINES))
def reading(
    request: pytest.FixtureRequest, image: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """One session on the specimen, shared by all cases that only read, and already started."""
    before = contract.digest(image)
    work = tmp_path_factory.mktemp(request.param)
    with ENGINES[request.param](image, "qcow2", work, silent()) as engine:
        engine.survey()
        yield engine
    assert contract.digest(image) == before


@pytest.fixture(params=sorted(ENGINES))
def maker(request: pytest.FixtureRequest) -> Maker:
    return ENGINES[request.param]


@pytest.mark.parametrize("case", contract.READING, ids=lambda case: case.__name__)
def test_reading(case, reading: Engine, disk: Path):
    case(reading, disk)


@pytest.mark.parametrize("case", contract.WRITING, ids=lambda case: case.__name__)
def test_writing(case, maker: Maker, disk: Path, tmp_path: Path):
    with maker(disk, "raw", tmp_path, silent()) as engine:
        case(engine, disk)


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param(variant.name, marks=[pytest.mark.full] if variant.name in LIKE_OTHERS else [])
        for variant in VARIANTS
    ],
)
def test_the_engines_say_the_same_of_a_sample(variant, sample, tmp_path: Path):
    image = sample(variant)
    before = contract.digest(image)
    told = {}
    for name, make in ENGINES.items():
        work = tmp_path / name
        work.mkdir()
        with contextlib.closing(make(image, "qcow2", work, silent())) as engine:
            told[name] = contract.testimony(engine)
        assert [path.name for path in work.iterdir()] == [engine.overlay.name]
    assert contract.kernels(told["guestfs"]), "no kernel was looked at"
    for name, testimony in told.items():
        assert testimony == told["guestfs"], name
    assert contract.digest(image) == before
