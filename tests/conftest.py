"""What all tests share: the real command, real sample images, a look for what is left behind."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import leftovers, minutes
from tests.durability import on_disk
from tests.neighbour import shared
from tests.services.fixtures import bare_metal, cloud, services

# pytest finds a fixture by its name in here
__all__ = ["bare_metal", "cloud", "on_disk", "services", "shared"]

REPOSITORY = Path(__file__).resolve().parent.parent
BAKERY = Path(sys.executable).with_name("bakery")
COMMAND_TIMEOUT_SECONDS = 600
ID_LIMIT = 80  # characters or bytes of one parameter
SAMPLE_TIMEOUT_SECONDS = 3600  # the first one downloads and unpacks a small Debian

Bakery = Callable[..., subprocess.CompletedProcess[str]]
Sample = Callable[[str], Path]


@pytest.fixture(scope="session")
def bakery() -> Bakery:
    """The real command line: `bakery("inspect", image)` → CompletedProcess with text output.

    Any exit code is returned, not raised. `cwd`, `env` (added to the environment), `input` and
    `timeout` (seconds) are those of subprocess.run.
    """

    def call(
        *args: str | Path,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        input: str = "",  # noqa: A002 - subprocess.run's own word
        timeout: float = COMMAND_TIMEOUT_SECONDS,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BAKERY, *args],
            cwd=cwd,
            env=os.environ | (env or {}),
            input=input,
            timeout=timeout,
            capture_output=True,
            text=True,
            check=False,
        )

    return call


@pytest.fixture(scope="session")
def sample(bakery: Bakery) -> Sample:
    """Real sample images: `sample("default")` → a qcow2 that no test may write.

    They come out of the user's cache, where `bakery lab image` keeps them by content, and are
    made there on first use (with sudo where the tests do not run as root).
    """
    folder = user_cache() / "tests"

    def get(variant: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        image = folder / f"{variant}.qcow2"
        with locked(folder / "lock"):
            make_sample(bakery, variant, image)
        return image

    return get


def user_cache() -> Path:
    """Where bakery keeps samples."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bakery"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file's lock: test processes that run side by side take turns."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make_sample(bakery: Bakery, variant: str, image: Path) -> None:
    """Have `bakery lab image` write `image`; the test fails with its words where it cannot."""
    words = ("lab", "image", image, "--variant", variant, "--cache", user_cache())
    done = bakery(*words, timeout=SAMPLE_TIMEOUT_SECONDS)
    if done.returncode != 0 and os.geteuid() != 0:
        done = subprocess.run(
            ["sudo", "-n", BAKERY, *words],
            stdin=subprocess.DEVNULL,
            timeout=SAMPLE_TIMEOUT_SECONDS,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        pytest.fail(f"the sample image '{variant}' cannot be made: {done.stderr}", pytrace=False)


def pytest_configure(config: pytest.Config) -> None:
    """Add up the minutes; keep what tests start in sight, and let it be interrupted.

    Where the tests run in the background, a shell has had SIGINT ignored, and programs they start
    would inherit that (signal(7): an ignored signal stays ignored through execve).
    """
    if not is_worker(config):
        config.pluginmanager.register(minutes.Minutes())
    leftovers.adopt_orphans()
    signal.signal(signal.SIGINT, signal.default_int_handler)


def is_worker(config: pytest.Config) -> bool:
    """Whether this is a process of pytest-xdist that runs tests another one hands out."""
    return hasattr(config, "workerinput")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Side by side, what takes longest starts first; alone, tests of a module stay together."""
    if is_worker(config):
        items.sort(key=minutes.rank)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Of a long text or of many bytes a test's name has the beginning and the length."""
    if not isinstance(val, str | bytes) or len(val) <= ID_LIMIT:
        return None  # pytest's own way
    text = val if isinstance(val, str) else val.decode("latin-1")
    start = text[: ID_LIMIT // 2].encode("unicode_escape").decode("ascii")
    return f"{start}...{len(val)}"


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a slow test no process of its making and no FUSE mount is there any more."""
    if request.node.get_closest_marker("slow") is None:
        yield
        return
    before = leftovers.present()
    yield
    left = leftovers.left_since(before)
    if left:
        pytest.fail("left behind: " + "; ".join(sorted(left)), pytrace=False)
