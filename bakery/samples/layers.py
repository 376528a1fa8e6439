"""Trees that are slow to make, kept as filesystem images named by what went into them.

A layer is one sparse file holding an ext4 filesystem: it keeps owners, device nodes and
capabilities whatever the cache lies on, its owner may delete it without being root, and it
appears whole by rename.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from bakery.host.folders import sync
from bakery.host.run import run
from bakery.samples.assemble import make_sparse
from bakery.samples.mounts import mounted
from bakery.samples.variants import GIB

LAYER_BYTES = 4 * GIB  # sparse: room, not use
KEY_LENGTH = 16


def content_key(*parts: object) -> str:
    """A short name for exactly these recipe inputs (anything JSON can hold)."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


def make_layer(
    path: Path, scratch: Path, fill: Callable[[Path], None], *, base: Path | None = None
) -> None:
    """Make the layer `path` by letting `fill` work on its mounted root.

    It starts empty, or as a copy of the layer `base`. Nothing appears at `path` before `fill`
    has come to its end and the result is on disk.
    """
    draft = scratch / path.name
    if base is None:
        make_sparse(draft, LAYER_BYTES)
        run(["mkfs.ext4", "-q", "-O", "^has_journal", "-E", "root_owner=0:0", draft])
    else:
        run(["cp", "--sparse=always", base, draft], timeout=600)
    with mounted(draft, scratch / "layer") as root:
        fill(root)
        run(["fstrim", root], timeout=120)  # what was deleted again takes no room in the file
    install(draft, path)


def install(draft: Path, path: Path) -> None:
    """Put a finished file in its place: on disk first, then under its name, with no moment between.

    `draft` and `path` are on one filesystem.
    """
    sync(draft)
    draft.replace(path)
    sync(path.parent)
