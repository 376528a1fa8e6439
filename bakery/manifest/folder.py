"""The folder of a build: whose files it holds, and how an earlier build leaves it."""

from collections.abc import Collection
from pathlib import Path
from typing import get_args

from bakery.host.errors import BakeryError
from bakery.host.folders import sync
from bakery.host.workdir import FOLDER
from bakery.manifest import manifest
from bakery.manifest.manifest import PACKED, SBOM_FILES, ArtifactName


def claim(output: Path) -> None:
    """Refuse a folder that holds somebody else's files."""
    if output.exists() and not output.is_dir():
        raise BakeryError(f"{output} is not a folder", "choose another with -o")
    entries = sorted(path.name for path in output.iterdir()) if output.is_dir() else []
    ours = FOLDER in entries or any(name.endswith(manifest.SUFFIX) for name in entries)
    if entries and not ours:
        shown = ", ".join(entries[:3]) + (", …" if len(entries) > 3 else "")
        raise BakeryError(
            f"{output} holds files that are not part of a bakery build: {shown}",
            "choose an empty or new folder with -o",
        )


def withdraw(output: Path, keep: Collection[str] = ()) -> None:
    """Take back an earlier build: first its manifest, then the files it lists, save `keep`."""
    path = manifest.find(output)
    if path is None:
        return
    try:
        old = manifest.read(path)
    except BakeryError:
        old = None
    path.unlink()
    sync(output)
    if old is None:
        return
    files = [f"{old.name}-{name}" for name in (*get_args(ArtifactName), *PACKED)]
    files += [f"{old.name}.{name}" for name in SBOM_FILES.values()]
    for file in files:
        if file not in keep:
            (output / file).unlink(missing_ok=True)
