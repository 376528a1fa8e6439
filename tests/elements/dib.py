"""The real diskimage-builder, run on this checkout's elements; what it makes is kept by content.

Everything comes from the mirror that this machine's apt uses, as for the sample images.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from bakery.host.run import Completed, run
from bakery.samples.apt_source import machine_mirror, proxies
from tests.conftest import BAKERY, REPOSITORY, locked, user_cache
from tests.services import venvs

ELEMENTS = REPOSITORY / "elements"
NAMES = sorted(path.name for path in ELEMENTS.iterdir() if path.is_dir())
SUITE = "bookworm"
MAKE_TIMEOUT_SECONDS = 1800


def venv() -> Path:
    """Where diskimage-builder is installed."""
    return venvs.venv("diskimage-builder")


def library() -> Path:
    """Its own scripts, those without a command."""
    (folder,) = venv().glob("lib/python3*/site-packages/diskimage_builder/lib")
    return folder


def environment() -> dict[str, str]:
    """What leads it to the elements, to bakery, and to this machine's mirror and proxies."""
    mirror = machine_mirror(SUITE)
    return os.environ | {
        "PATH": f"{venv() / 'bin'}:{os.environ['PATH']}:/usr/sbin:/sbin",
        "ELEMENTS_PATH": str(ELEMENTS),
        "BAKERY": str(BAKERY),
        "DIB_RELEASE": SUITE,
        "DIB_DISTRIBUTION_MIRROR": mirror,
        "DIB_APT_SOURCES_CONF": f"default:deb {mirror} {SUITE} main",
        # The first stage of the second image is that of the first.
        "DIB_DEBOOTSTRAP_CACHE": "1",
        "DIB_DEBIAN_USE_DEBOOTSTRAP_CACHE": "1",
        "DIB_IMAGE_CACHE": str(cache() / "parts"),
        "DIB_LOCKFILES": str(cache() / "locks"),
        **proxies(),
    }


def cache() -> Path:
    """Where images and what they are made from are kept between runs."""
    return user_cache() / "elements"


def made(name: str, made_from: Iterable[Path], program: str, *words: str) -> Path:
    """The folder with what `program -o FOLDER/name words…` leaves, made where it is not there yet.

    It is another folder when a file below one of `made_from` changes, or what runs it.
    """
    folder = cache() / f"{name}-{_key(made_from, program, *words)}"
    cache().mkdir(parents=True, exist_ok=True)
    with locked(cache() / "lock"):
        if not folder.exists():
            for older in cache().glob(f"{name}-*"):
                shutil.rmtree(older)
            draft = cache() / f"draft-{name}"
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            call(program, "-o", name, *words, cwd=draft, timeout=MAKE_TIMEOUT_SECONDS)
            assert "dib_image" not in run(["losetup", "--list", "--output", "BACK-FILE"]).text
            draft.rename(folder)
    return folder


def call(program: str, *words: str | Path, timeout: float, cwd: Path | None = None) -> Completed:
    """Run one of its programs, which must end well."""
    return run([venv() / "bin" / program, *words], cwd=cwd, env=environment(), timeout=timeout)


def _key(made_from: Iterable[Path], *words: str) -> str:
    total = hashlib.sha256("\0".join((SUITE, venv().name, *words)).encode())
    for folder in made_from:
        assert folder.is_dir(), f"{folder} is no folder"
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                mode = oct(path.stat().st_mode)
                total.update(f"{path.relative_to(REPOSITORY)}\0{mode}\0".encode())
                total.update(path.read_bytes())
    return total.hexdigest()[:16]
