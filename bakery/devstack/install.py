"""Putting a file where a user wants it: whole or not at all, never over another's."""

from pathlib import Path

from bakery.host.errors import BakeryError
from bakery.host.folders import write_whole


def put(path: Path, content: str, *, replace: bool) -> bool:
    """Write a file for its owner alone; False where it is there already with this content.

    BakeryError where another content is there and `replace` does not allow it, or the folder
    cannot be written.
    """
    try:
        if path.exists():
            if path.read_bytes() == content.encode():
                return False
            if not replace:
                raise BakeryError(
                    f"{path} already exists, with other content", "--replace overwrites it"
                )
        write_whole(path, content.encode(), mode=0o600)
    except OSError as error:
        raise BakeryError(f"{path} cannot be written: {error.strerror}") from error
    return True
