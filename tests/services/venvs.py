"""The programs of the test services: each in a virtual environment of its own, in the user's cache.

An environment is named for its pinned requirements and its Python; it is installed once, under a
lock, and needs no network after that.
"""

import contextlib
import fcntl
import hashlib
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bakery.host import run

PYTHON = Path("/usr/bin/python3")  # Debian's own: the first python3 on PATH may be another
REQUIREMENTS = Path(__file__).parent / "requirements"
NAMES = tuple(sorted(path.stem for path in REQUIREMENTS.glob("*.txt")))
INSTALL_TIMEOUT_SECONDS = 1800
READY = "ready"


def cache() -> Path:
    """Where the services are kept between runs."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "bakery" / "services"


def venv(name: str) -> Path:
    """The environment of one of NAMES, installed where it is not there yet.

    Raises run.CommandFailed with pip's last words where it cannot be installed.
    """
    folder = _folder(name)
    if (folder / READY).exists():
        return folder
    with locked(cache() / f"{name}.lock"):
        if not (folder / READY).exists():
            _install(folder, REQUIREMENTS / f"{name}.txt")
    return folder


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file's lock; processes that run side by side take turns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _folder(name: str) -> Path:
    requirements = (REQUIREMENTS / f"{name}.txt").read_bytes()
    version = run.run([PYTHON, "--version"]).stdout
    return cache() / f"{name}-{hashlib.sha256(version + requirements).hexdigest()[:16]}"


def _install(folder: Path, requirements: Path) -> None:
    run.run([PYTHON, "-m", "venv", "--clear", folder], timeout=INSTALL_TIMEOUT_SECONDS)
    pip: list[run.Arg] = [
        folder / "bin/python",
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--quiet",
    ]
    run.run(
        [*pip, "--requirement", requirements], timeout=INSTALL_TIMEOUT_SECONDS, env=pip_settings()
    )
    (folder / READY).touch()


def pip_settings() -> dict[str, str]:
    """What leads pip to this machine's package index."""
    return {k: v for k, v in os.environ.items() if k.startswith("PIP_") or "proxy" in k}


def missing() -> list[str]:
    """Those of NAMES that are not installed yet."""
    return [name for name in NAMES if not (_folder(name) / READY).exists()]


def main() -> None:
    """Install what is missing; with `--missing`, name it instead."""
    if sys.argv[1:] == ["--missing"]:
        print(*missing())
        return
    with ThreadPoolExecutor() as several:
        list(several.map(venv, NAMES))


if __name__ == "__main__":
    main()
