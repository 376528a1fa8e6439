"""The images of other layouts, out of the user's cache, where they are kept by content."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from bakery.samples.cache import Cache, forget_older
from bakery.samples.layers import content_key
from tests.conftest import REPOSITORY, SAMPLE_TIMEOUT_SECONDS, Sample, locked, user_cache
from tests.real.builders import BUILDERS

LAYOUT_SOURCES = ("disks.py", "groups.py", "layouts.py", "loaders.py", "make.py", "userland.py")
BUILDER_SOURCES = ("builders.py", "make.py", "stand_ins/chroot", "stand_ins/kpartx")
SystemImage = Callable[[str], Path]


@pytest.fixture(scope="session")
def system_image(sample: Sample) -> SystemImage:
    """The image of a system of tests/real/systems.py: `system_image("own-usr")`.

    It is a file of the cache, which no test may write, and is made on first use (with sudo where
    the tests do not run as root).
    """

    def get(name: str) -> Path:
        if name in BUILDERS:
            if not BUILDERS[name].installed:
                pytest.skip(f"{BUILDERS[name].program} is not installed: scripts/setup --all")
        else:
            sample("plain")  # brings the tree that all layouts share
        folder = user_cache() / "tests/real"
        folder.mkdir(parents=True, exist_ok=True)
        image = folder / f"{name}-{content_key(*inputs(name))}.qcow2"
        with locked(folder / f"{name}.lock"):
            if not image.exists():
                make(name, image)
                forget_older(image)
        return image

    return get


def inputs(name: str) -> list[str]:
    """What decides an image: the text of what makes it, and the tree that is laid out.

    What a builder fetches is its mirror's: such an image stays as it was built.
    """
    if name in BUILDERS:
        return texts(BUILDER_SOURCES)
    layer = Cache(user_cache() / "lab").layer("system")
    return [*texts(LAYOUT_SOURCES), layer.name]


def texts(names: Iterable[str]) -> list[str]:
    """The text of files beside this one."""
    return [Path(__file__).parent.joinpath(name).read_text() for name in names]


def make(name: str, image: Path) -> None:
    """Run the factory as root."""
    words = (sys.executable, "-m", "tests.real.make", name, image, user_cache())
    asking = () if os.geteuid() == 0 else ("sudo", "-n")
    done = subprocess.run(
        [*asking, *words],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        timeout=SAMPLE_TIMEOUT_SECONDS,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.fail(f"the image of {name} cannot be made: {done.stderr}", pytrace=False)
