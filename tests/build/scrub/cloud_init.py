"""Debian's cloud-init, unpacked where it can do nothing to this machine, and boots by its code."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import msgspec

from bakery.host import run
from tests.conftest import locked, user_cache
from tests.services import venvs

SCRIPT = Path(__file__).with_name("cloud_init_boot.py")
DOWNLOAD_SECONDS = 300


class Boot(msgspec.Struct, frozen=True):
    """What one was to cloud-init: another instance than before, and which modules ran."""

    new: bool
    ran: tuple[str, ...]


def boot(cloud: Path) -> Boot:
    """A boot of the system whose /var/lib/cloud is the folder `cloud`."""
    python = venvs.venv("cloud-init") / "bin/python"
    done = run.run([python, SCRIPT, cloud], env=os.environ | {"PYTHONPATH": str(_code())})
    shutil.rmtree(cloud.with_name(cloud.name + "-run"))  # /run is empty after a boot
    return msgspec.convert(json.loads(done.text), Boot)


def _code() -> Path:
    """The package's Python code, fetched once."""
    folder = user_cache() / "tests/cloud-init"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_suffix(".lock")):
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
                words = ["apt-get", "--quiet", "download", "cloud-init"]
                run.run(words, cwd=Path(scratch), timeout=DOWNLOAD_SECONDS)
                (package,) = Path(scratch).glob("*.deb")
                run.run(["dpkg-deb", "--extract", package, Path(scratch) / "tree"])
                (Path(scratch) / "tree").rename(folder)
    return folder / "usr/lib/python3/dist-packages"
