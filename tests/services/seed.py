"""The databases and keys of a new deployment: made once by the services' own tools, then copied."""

import hashlib
import os
import shutil
from pathlib import Path

from bakery.host import run
from tests.services import settings, venvs

MAKE_TIMEOUT_SECONDS = 600


def plant(folder: Path) -> None:
    """Fill `folder` with the state of a deployment that nobody has used yet."""
    shutil.copytree(_seed(), folder, dirs_exist_ok=True)


def _seed() -> Path:
    keystone, glance = venvs.venv("keystone"), venvs.venv("glance")
    text = f"{keystone.name} {glance.name} ".encode() + Path(__file__).read_bytes()
    text += Path(settings.__file__).read_bytes()
    seed = venvs.cache() / f"seed-{hashlib.sha256(text).hexdigest()[:16]}"
    if not seed.exists():
        with venvs.locked(venvs.cache() / "seed.lock"):
            if not seed.exists():
                _make(seed, keystone, glance)
    return seed


def _make(seed: Path, keystone: Path, glance: Path) -> None:
    work = seed.with_suffix(".part")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    conf = work / "seed.conf"

    conf.write_text(settings.text(settings.keystone(work)))
    manage: list[run.Arg] = [keystone / "bin/keystone-manage", "--config-file", conf]
    owner = ["--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid())]
    keys = (["fernet_setup", *owner], ["credential_setup", *owner])
    for words in (["db_sync"], *keys, _admin(), _glance()):
        run.run([*manage, *words], timeout=MAKE_TIMEOUT_SECONDS)

    choices = settings.Choices()
    conf.write_text(settings.text(settings.glance(work, "", "", choices)))
    sync: list[run.Arg] = [glance / "bin/glance-manage", "--config-file", conf, "db", "sync"]
    run.run(sync, timeout=MAKE_TIMEOUT_SECONDS)
    conf.unlink()
    work.rename(seed)


def _admin() -> list[str]:
    return [
        "bootstrap",
        *("--bootstrap-username", "admin", "--bootstrap-project-name", "admin"),
        *("--bootstrap-password", settings.PASSWORD),
        *("--bootstrap-region-id", settings.REGION),
        *("--bootstrap-public-url", "http://127.0.0.1/v3"),  # each start sets its own
    ]


def _glance() -> list[str]:
    return [
        "bootstrap",
        *("--bootstrap-username", "glance", "--bootstrap-project-name", "service"),
        *("--bootstrap-password", settings.PASSWORD),
    ]
